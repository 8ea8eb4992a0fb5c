//! Which service has which name, and who waits for one.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use interfaces::{MAX_NAME, NamesError};

/// The first number of a domain that is a program.
const FIRST_PROCESS: u64 = domain::servers::FIRST_PROCESS;
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

impl<S: Clone, W> Registry<S, W> {
    /// No services.
    pub const fn new() -> Registry<S, W> {
        Registry { services: BTreeMap::new(), waiters: BTreeMap::new(), waiting: 0 }
    }

    /// Whether `domain` could register `name` now.
    ///
    /// # Errors
    /// `BadName`, `Taken`, `TooMany`, `Exhausted`.
    pub fn check_free(&self, name: &str, domain: u64) -> Result<(), NamesError> {
        check(name)?;
        if self.services.contains_key(name) {
            return Err(NamesError::Taken);
        }
        if domain < FIRST_PROCESS {
            return Ok(());
        }
        let of_programs = || self.services.values().filter(|entry| entry.domain >= FIRST_PROCESS);
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
        let woken = self.waiters.remove(name).unwrap_or_default();
        self.waiting -= woken.len();
        Ok(woken.into_iter().map(|(_, request)| request).collect())
    }

    /// The service of this name.
    ///
    /// # Errors
    /// `BadName`, `NotFound`.
    pub fn find(&self, name: &str) -> Result<S, NamesError> {
        check(name)?;
        self.services.get(name).map(|entry| entry.service.clone()).ok_or(NamesError::NotFound)
    }

    /// Keeps a request of `domain` until a service of this name is registered.
    ///
    /// # Errors
    /// The request comes back: with `Ok` if there is such a service already, with `BadName`, or when too many wait,
    /// with `TooMany` or `Exhausted`.
    pub fn wait(&mut self, domain: u64, name: &str, request: W) -> Result<(), (W, Result<(), NamesError>)> {
        match self.find(name) {
            Ok(_) => return Err((request, Ok(()))),
            Err(NamesError::NotFound) => {}
            Err(error) => return Err((request, Err(error))),
        }
        let own = self.waiters.values().flatten().filter(|(waiting, _)| *waiting == domain).count();
        if domain >= FIRST_PROCESS && own >= MAX_OWN_WAITERS {
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

    /// Forgets requests that nobody waits for any more.
    pub fn keep_waiters(&mut self, wanted: impl Fn(&W) -> bool) {
        self.waiters.retain(|_, waiters| {
            waiters.retain(|(_, request)| wanted(request));
            !waiters.is_empty()
        });
        self.waiting = self.waiters.values().map(Vec::len).sum();
    }

    /// All names, sorted.
    pub fn list(&self) -> Vec<String> {
        self.services.keys().cloned().collect()
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

    type Names = Registry<&'static str, u32>;

    fn with_fs() -> Names {
        let mut names = Names::new();
        assert_eq!(names.register("fs", 1, 1, "the fs"), Ok(Vec::new()));
        names
    }

    #[test]
    fn a_service_is_found_by_its_name() {
        let names = with_fs();
        assert_eq!(names.find("fs"), Ok("the fs"));
        assert_eq!(names.find("net"), Err(NamesError::NotFound));
    }

    #[test]
    fn a_name_is_taken_until_its_owner_is_gone() {
        let mut names = with_fs();
        assert_eq!(names.register("fs", 2, 1, "another"), Err(NamesError::Taken));
        assert_eq!(names.owner_gone(2), Vec::<&str>::new());
        assert_eq!(names.owner_gone(1), ["the fs"]);
        assert_eq!(names.find("fs"), Err(NamesError::NotFound));
        assert_eq!(names.register("fs", 2, 1, "another"), Ok(Vec::new()));
    }

    #[test]
    fn an_owner_takes_all_of_its_services_along_and_no_others() {
        let mut names = with_fs();
        names.register("disk", 1, 1, "the disk").unwrap();
        names.register("net", 3, 1, "the net").unwrap();
        assert_eq!(names.owner_gone(1).len(), 2);
        assert_eq!(names.list(), ["net"]);
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
    fn the_list_is_sorted() {
        let mut names = with_fs();
        names.register("console", 2, 1, "the console").unwrap();
        names.register("spawn", 2, 1, "spawn").unwrap();
        assert_eq!(names.list(), ["console", "fs", "spawn"]);
    }

    #[test]
    fn no_program_takes_all_names_or_waits_without_end() {
        let mut names = Names::new();
        let mut take = |domain: u64| {
            (0..)
                .take_while(|n| names.register(&format!("s{domain}.{n}"), domain, domain, "it").is_ok())
                .count()
        };
        let first: usize = (FIRST_PROCESS..).take(3).map(&mut take).sum();
        assert_eq!(first, 3 * MAX_OWN_SERVICES);
        let next = (100..110).map(&mut take);
        assert!(next.into_iter().all(|own| (1..=MAX_OWN_SERVICES).contains(&own)));
        assert_eq!(names.check_free("s16.x", 16), Err(NamesError::TooMany));
        assert_eq!(names.check_free("x", 1), Ok(()));
        for request in 0..MAX_OWN_WAITERS as u32 {
            assert_eq!(names.wait(20, "net", request), Ok(()));
        }
        assert_eq!(names.wait(20, "net", 0), Err((0, Err(NamesError::TooMany))));
        assert_eq!((names.wait(21, "net", 0), names.wait(1, "net", 0)), (Ok(()), Ok(())));
    }
}
