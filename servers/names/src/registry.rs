//! Which service has which name, and who waits for one.
//!
//! A service with an instance on each core has the names `NAME.0`, `NAME.1` and so on, and whoever asks for `NAME` gets the
//! one of its own core; a service without instances is `NAME` itself, for all cores. Names that end in a number are for the
//! parts of the system, and so is a `NAME` that has instances: no program can get between a core and its `mem`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use abi::domain::{core_of, is_program};
use interfaces::{MAX_NAME, NameInfo, NamesError, instance_name};

/// Most services of programs at a time. Each takes a channel, and those of 200 programs and of the parts of the system must
/// have room besides ([`domain::Sizes::SERVER`]).
pub const MAX_SERVICES: usize = 128;
/// Most of them of one program, if that is no more than a quarter of what is left.
const MAX_OWN_SERVICES: usize = 16;
/// Most requests of one program that wait for a service.
const MAX_OWN_WAITERS: usize = 32;
/// Most requests that wait for a service.
pub const MAX_WAITERS: usize = 4096;

struct Entry<S> {
    /// The channel that registered it, and with which it ends.
    owner: u64,
    domain: u64,
    service: S,
}

/// Services by name. `S` is how a service is reached, `W` a request that waits for one.
pub struct Registry<S, W> {
    services: BTreeMap<String, Entry<S>>,
    /// With the domain that waits.
    waiters: BTreeMap<String, Vec<(u64, W)>>,
    waiting: usize,
}

/// Checks a service's name.
///
/// # Errors
/// [`NamesError::BadName`].
pub fn check(name: &str) -> Result<(), NamesError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(legal) {
        return Err(NamesError::BadName);
    }
    Ok(())
}

/// Whether the name is as that of an instance: a dot and digits at its end.
fn is_numbered(name: &str) -> bool {
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('.').is_some_and(|(_, number)| digits(number))
}

impl<S: Clone, W> Registry<S, W> {
    /// No services.
    pub const fn new() -> Registry<S, W> {
        Registry { services: BTreeMap::new(), waiters: BTreeMap::new(), waiting: 0 }
    }

    /// Whether `domain` could register `name` now.
    ///
    /// # Errors
    /// `BadName`, `Taken`, and for programs `Reserved`, `TooMany`, `Exhausted`.
    pub fn check_free(&self, name: &str, domain: u64) -> Result<(), NamesError> {
        check(name)?;
        if self.services.contains_key(name) {
            return Err(NamesError::Taken);
        }
        if !is_program(domain) {
            return Ok(());
        }
        if is_numbered(name) {
            return Err(NamesError::Reserved);
        }
        if self.has_instances(name) {
            return Err(NamesError::Taken);
        }
        let of_programs = || self.services.values().filter(|entry| is_program(entry.domain));
        let (own, all) =
            (of_programs().filter(|entry| entry.domain == domain).count(), of_programs().count());
        if all >= MAX_SERVICES {
            Err(NamesError::Exhausted)
        } else if own > 0 && own >= MAX_OWN_SERVICES.min((MAX_SERVICES - all) / 4) {
            Err(NamesError::TooMany)
        } else {
            Ok(())
        }
    }

    /// Registers a service of the channel `owner`, which leads to `domain`; gives the requests that waited for it.
    ///
    /// # Errors
    /// Those of [`Registry::check_free`].
    pub fn register(
        &mut self,
        name: &str,
        owner: u64,
        domain: u64,
        service: S,
    ) -> Result<Vec<W>, NamesError> {
        self.check_free(name, domain)?;
        self.services.insert(name.into(), Entry { owner, domain, service });
        let mut woken = self.waiters.remove(name).unwrap_or_default();
        if let Some((plain, _)) = name.rsplit_once('.')
            && let Some(waiters) = self.waiters.get_mut(plain)
        {
            let here = |waiter: &mut (u64, W)| instance_name(plain, core_of(waiter.0)) == name;
            woken.extend(waiters.extract_if(.., here));
            self.waiters.retain(|_, waiters| !waiters.is_empty());
        }
        self.waiting -= woken.len();
        Ok(woken.into_iter().map(|(_, request)| request).collect())
    }

    /// Whether a service has instances of this name on any core.
    fn has_instances(&self, name: &str) -> bool {
        let prefix = alloc::format!("{name}.");
        let mut after = self.services.range(prefix.clone()..).take_while(|(it, _)| it.starts_with(&prefix));
        after.any(|(it, _)| is_numbered(it) && !it[prefix.len()..].contains('.'))
    }

    /// The service that a domain on `core` means by this name.
    ///
    /// # Errors
    /// `BadName`, `NotFound`.
    pub fn find(&self, name: &str, core: u32) -> Result<S, NamesError> {
        check(name)?;
        let instance = self.services.get(&instance_name(name, core));
        let found = instance.or_else(|| self.services.get(name));
        found.map(|entry| entry.service.clone()).ok_or(NamesError::NotFound)
    }

    /// Keeps a request of `domain` until there is a service that it means by this name.
    ///
    /// # Errors
    /// The request comes back: with `Ok` if there is such a service already, with `BadName`, or when too many wait,
    /// with `TooMany` or `Exhausted`.
    pub fn wait(&mut self, domain: u64, name: &str, request: W) -> Result<(), (W, Result<(), NamesError>)> {
        match self.find(name, core_of(domain)) {
            Ok(_) => return Err((request, Ok(()))),
            Err(NamesError::NotFound) => {}
            Err(error) => return Err((request, Err(error))),
        }
        let own = self.waiters.values().flatten().filter(|(waiting, _)| *waiting == domain).count();
        if is_program(domain) && own >= MAX_OWN_WAITERS {
            return Err((request, Err(NamesError::TooMany)));
        }
        if self.waiting >= MAX_WAITERS {
            return Err((request, Err(NamesError::Exhausted)));
        }
        self.waiters.entry(name.into()).or_default().push((domain, request));
        self.waiting += 1;
        Ok(())
    }

    /// The channel `owner` has ended: its services are gone, and their names are free. Gives the services.
    pub fn owner_gone(&mut self, owner: u64) -> Vec<S> {
        let of_owner = |_: &String, entry: &mut Entry<S>| entry.owner == owner;
        self.services.extract_if(.., of_owner).map(|(_, entry)| entry.service).collect()
    }

    /// Takes a service of the channel `owner` away.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove(&mut self, name: &str, owner: u64) -> Result<S, NamesError> {
        match self.services.get(name) {
            Some(entry) if entry.owner == owner => {}
            _ => return Err(NamesError::NotFound),
        }
        self.services.remove(name).map(|entry| entry.service).ok_or(NamesError::NotFound)
    }

    /// Takes the requests that wait for a name, which is to be had elsewhere.
    pub fn take_waiters(&mut self, name: &str) -> Vec<W> {
        let taken = self.waiters.remove(name).unwrap_or_default();
        self.waiting -= taken.len();
        taken.into_iter().map(|(_, request)| request).collect()
    }

    /// Whether somebody waits for a name.
    pub fn is_awaited(&self, name: &str) -> bool {
        self.waiters.contains_key(name)
    }

    /// Forgets requests that nobody waits for any more.
    pub fn keep_waiters(&mut self, wanted: impl Fn(&W) -> bool) {
        self.waiters.retain(|_, waiters| {
            waiters.retain(|(_, request)| wanted(request));
            !waiters.is_empty()
        });
        self.waiting = self.waiters.values().map(Vec::len).sum();
    }

    /// All services, sorted by name.
    pub fn list(&self) -> Vec<NameInfo> {
        let info = |(name, entry): (&String, &Entry<S>)| NameInfo { name: name.clone(), owner: entry.domain };
        self.services.iter().map(info).collect()
    }

    /// The service of exactly this name, and the domain that offers it.
    ///
    /// # Errors
    /// `BadName`, `NotFound`.
    pub fn exactly(&self, name: &str) -> Result<(S, u64), NamesError> {
        check(name)?;
        let found = self.services.get(name).ok_or(NamesError::NotFound)?;
        Ok((found.service.clone(), found.domain))
    }
}

impl<S: Clone, W> Default for Registry<S, W> {
    fn default() -> Self {
        Registry::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::domain::{FIRST_PROGRAM, first_program};

    type Names = Registry<&'static str, u32>;

    fn with_fs() -> Names {
        let mut names = Names::new();
        assert_eq!(names.register("fs", 1, 1, "the fs"), Ok(Vec::new()));
        names
    }

    fn listed(names: &Names) -> Vec<(String, u64)> {
        names.list().into_iter().map(|it| (it.name, it.owner)).collect()
    }

    #[test]
    fn a_service_is_found_by_its_name() {
        let names = with_fs();
        assert_eq!(names.find("fs", 0), Ok("the fs"));
        assert_eq!(names.find("net", 0), Err(NamesError::NotFound));
    }

    #[test]
    fn a_name_is_taken_until_its_owner_is_gone() {
        let mut names = with_fs();
        assert_eq!(names.register("fs", 2, 1, "another"), Err(NamesError::Taken));
        assert_eq!(names.owner_gone(2), Vec::<&str>::new());
        assert_eq!(names.owner_gone(1), ["the fs"]);
        assert_eq!(names.find("fs", 0), Err(NamesError::NotFound));
        assert_eq!(names.register("fs", 2, 1, "another"), Ok(Vec::new()));
    }

    #[test]
    fn an_owner_takes_all_of_its_services_along_and_no_others() {
        let mut names = with_fs();
        names.register("disk", 1, 1, "the disk").unwrap();
        names.register("net", 3, 1, "the net").unwrap();
        assert_eq!(names.owner_gone(1).len(), 2);
        assert_eq!(listed(&names), [("net".into(), 1)]);
    }

    #[test]
    fn whoever_waits_is_woken_when_the_service_comes() {
        let mut names = Names::new();
        assert_eq!(names.wait(1, "net", 7), Ok(()));
        assert_eq!(names.wait(1, "net", 8), Ok(()));
        assert_eq!(names.wait(1, "disk", 9), Ok(()));
        assert_eq!(names.register("net", 1, 1, "the net"), Ok(vec![7, 8]));
        assert_eq!(names.wait(1, "net", 10), Err((10, Ok(()))));
    }

    #[test]
    fn waiting_is_bounded_and_those_who_gave_up_make_room() {
        let mut names = Names::new();
        for request in 0..MAX_WAITERS as u32 {
            assert_eq!(names.wait(1, "net", request), Ok(()));
        }
        assert_eq!(names.wait(1, "disk", 1), Err((1, Err(NamesError::Exhausted))));
        names.keep_waiters(|&request| request < 10);
        assert_eq!(names.wait(1, "disk", 1), Ok(()));
        assert_eq!(names.register("net", 1, 1, "the net").unwrap().len(), 10);
    }

    #[test]
    fn names_are_letters_digits_and_a_few_signs() {
        for good in ["a", "spawn.2", "my_fs-1", &"x".repeat(MAX_NAME)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", "a\0", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(check(bad), Err(NamesError::BadName), "{bad:?}");
        }
    }

    #[test]
    fn a_name_means_the_instance_of_the_own_core() {
        let mut names = with_fs();
        for (name, it) in [("mem.0", "mem of 0"), ("mem.1", "mem of 1"), ("mem.x.0", "x of 0")] {
            names.register(name, 1, 1, it).unwrap();
        }
        assert_eq!([names.find("mem", 0), names.find("mem", 1)], [Ok("mem of 0"), Ok("mem of 1")]);
        names.register("fs.0", 1, 1, "fs of 0").unwrap();
        assert_eq!([names.find("fs", 0), names.find("fs", 1)], [Ok("fs of 0"), Ok("the fs")]);
        assert_eq!([names.find("mem", 2), names.find("mem", 10)], [Err(NamesError::NotFound); 2]);
        assert_eq!([names.find("mem.1", 0), names.find("fs", 1)], [Ok("mem of 1"), Ok("the fs")]);
        assert_eq!(
            [names.find("mem.x", 0), names.find("mem.x", 1)],
            [Ok("x of 0"), Err(NamesError::NotFound)]
        );
    }

    #[test]
    fn whoever_waits_for_a_name_is_woken_by_the_instance_of_its_core_alone() {
        let mut names = Names::new();
        let [here, there] = [first_program(0), first_program(1)];
        for (domain, request) in [(here, 1), (there, 2), (here, 3)] {
            assert_eq!(names.wait(domain, "mem", request), Ok(()));
        }
        assert_eq!(names.wait(here, "mem.1", 4), Ok(()));
        assert_eq!(names.register("mem.1", 1, 1, "mem of 1"), Ok(vec![4, 2]));
        assert_eq!(names.register("mem.1.0", 1, 1, "another"), Ok(vec![]));
        assert_eq!(names.register("mem.0", 1, 1, "mem of 0"), Ok(vec![1, 3]));
        assert_eq!((names.waiting, names.waiters.len()), (0, 0));
    }

    #[test]
    fn no_program_gets_between_a_core_and_a_part_of_the_system() {
        let mut names = with_fs();
        names.register("mem.0", 1, 1, "mem of 0").unwrap();
        names.register("mem.x.0", 1, 1, "x of 0").unwrap();
        for name in ["mem.1", "fs.0", "new.7", "mem.0.1", ".0", "a.00"] {
            assert_eq!(names.check_free(name, FIRST_PROGRAM), Err(NamesError::Reserved), "{name}");
        }
        for name in ["mem", "mem.x", "mem.0", "fs"] {
            assert_eq!(names.check_free(name, FIRST_PROGRAM), Err(NamesError::Taken), "{name}");
        }
        for name in ["me", "mem-0", "mem.0x", "mem.y", "mem.x.y", "m.", "7"] {
            assert_eq!(names.check_free(name, FIRST_PROGRAM), Ok(()), "{name}");
        }
        assert_eq!(names.check_free("mem.1", 1), Ok(()));
    }

    #[test]
    fn the_list_is_sorted() {
        let mut names = with_fs();
        names.register("console", 2, 64, "the console").unwrap();
        names.register("spawn", 2, 80, "spawn").unwrap();
        assert_eq!(listed(&names), [("console".into(), 64), ("fs".into(), 1), ("spawn".into(), 80)]);
        assert_eq!(names.exactly("console"), Ok(("the console", 64)));
        assert_eq!(names.exactly("consol"), Err(NamesError::NotFound));
    }

    #[test]
    fn no_program_takes_all_names_or_waits_without_end() {
        let mut names = Names::new();
        let mut take = |domain: u64| {
            (0..)
                .take_while(|n| names.register(&format!("s{domain}-{n}"), domain, domain, "it").is_ok())
                .count()
        };
        let first: usize = (FIRST_PROGRAM..).take(3).map(&mut take).sum();
        assert_eq!(first, 3 * MAX_OWN_SERVICES);
        let next = (1000..1010).map(&mut take);
        assert!(next.into_iter().all(|own| (1..=MAX_OWN_SERVICES).contains(&own)));
        assert_eq!(names.check_free("x", FIRST_PROGRAM), Err(NamesError::TooMany));
        assert_eq!(names.check_free("x", 1), Ok(()));
        for request in 0..MAX_OWN_WAITERS as u32 {
            assert_eq!(names.wait(1000, "net", request), Ok(()));
        }
        assert_eq!(names.wait(1000, "net", 0), Err((0, Err(NamesError::TooMany))));
        assert_eq!((names.wait(1001, "net", 0), names.wait(1, "net", 0)), (Ok(()), Ok(())));
    }
}
