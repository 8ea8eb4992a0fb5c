//! Services with an instance on each core: asked where it matters, or everywhere at once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Display;
use core::time::Duration;

use barreldish::LmpPort;
use barreldish::time::within;
use interfaces::instance_name;
use ipc::CallError;
use rt::RtError;

use crate::world::Failure;

/// How long a service may take to answer what it can answer at once. One that takes longer is taken for dead, so
/// that the shell is not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer of a core's service.
#[derive(Debug)]
pub(crate) enum Trouble<E> {
    /// That core has no such service: it is not up.
    Absent,
    /// It does not answer.
    Silent,
    /// There is no way to it.
    Unreachable(RtError),
    /// It refuses.
    Refused(E),
}

impl<E: PartialEq + From<CallError>> Trouble<E> {
    /// Whether it may be better over a new channel: no service has refused.
    pub(crate) fn is_of_channel(&self) -> bool {
        match self {
            Trouble::Refused(error) => *error == CallError::PeerGone.into(),
            Trouble::Absent | Trouble::Silent | Trouble::Unreachable(_) => true,
        }
    }
}

impl<E> From<E> for Trouble<E> {
    fn from(error: E) -> Trouble<E> {
        Trouble::Refused(error)
    }
}

impl<E: Display> Display for Trouble<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Trouble::Absent => f.write_str("it is not up"),
            Trouble::Silent => f.write_str("it does not answer"),
            Trouble::Unreachable(error) => error.fmt(f),
            Trouble::Refused(error) => error.fmt(f),
        }
    }
}

/// What comes of `work` in time.
///
/// # Errors
/// `Silent`, and those of `work`.
pub(crate) async fn in_time<T, E>(
    time: Duration,
    work: impl Future<Output = Result<T, Trouble<E>>>,
) -> Result<T, Trouble<E>> {
    within(time, work).await.unwrap_or(Err(Trouble::Silent))
}

/// Clients of the instances of a service that were needed so far.
pub(crate) struct Instances<C> {
    name: &'static str,
    known: RefCell<BTreeMap<u32, Arc<C>>>,
}

impl<C: ipc::Stub<LmpPort>> Instances<C> {
    /// No clients yet of the service `name`.
    pub(crate) const fn of(name: &'static str) -> Instances<C> {
        Instances { name, known: RefCell::new(BTreeMap::new()) }
    }

    /// A client of the instance on `core`.
    ///
    /// # Errors
    /// `Absent`, `Silent`, `Unreachable`.
    pub(crate) async fn on<E>(&self, core: u32) -> Result<Arc<C>, Trouble<E>> {
        let known = self.known.borrow().get(&core).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let name = instance_name(self.name, core);
        let connected =
            within(PATIENCE, rt::names::connect_async::<C>(&name)).await.ok_or(Trouble::Silent)?;
        let client = Arc::new(connected.map_err(|error| match error {
            RtError::NoService => Trouble::Absent,
            error => Trouble::Unreachable(error),
        })?);
        self.known.borrow_mut().insert(core, client.clone());
        Ok(client)
    }

    /// Uses a client that there is already.
    pub(crate) fn know(&self, core: u32, client: Arc<C>) {
        self.known.borrow_mut().insert(core, client);
    }

    /// The next question to this core goes over a new channel.
    pub(crate) fn forget(&self, core: u32) {
        self.known.borrow_mut().remove(&core);
    }

    /// Asks the instance on `core` what can be answered at once.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn ask<T, E: PartialEq + From<CallError>>(
        &self,
        core: u32,
        question: impl AsyncFn(&C) -> Result<T, E>,
    ) -> Result<T, Trouble<E>> {
        let client = self.on(core).await?;
        let answer = in_time(PATIENCE, async { Ok(question(&client).await?) }).await;
        answer.inspect_err(|trouble| {
            if trouble.is_of_channel() {
                self.forget(core);
            }
        })
    }

    /// Asks the instances on all cores that have one, all at once: what each answers, by core.
    ///
    /// # Errors
    /// The name service does not tell which cores have one.
    pub(crate) async fn ask_all<T, E: Display + PartialEq + From<CallError>>(
        &self,
        question: impl AsyncFn(&C) -> Result<T, E>,
    ) -> Result<ByCore<T>, Failure> {
        let cores = self.cores().await?;
        let answer = async |core| {
            let answer = self.ask(core, &question).await;
            (core, answer.map_err(|trouble| trouble.to_string()))
        };
        Ok(rt::join_all(cores.into_iter().map(|core| Box::pin(answer(core))).collect()).await)
    }

    /// The cores that have an instance.
    async fn cores(&self) -> Result<Vec<u32>, Failure> {
        let names = rt::names::names().map_err(|error| error.to_string())?;
        let all = within(PATIENCE, names.list_async()).await.ok_or("the name service does not answer")?;
        let instance = |name: &str| name.strip_prefix(self.name)?.strip_prefix('.')?.parse().ok();
        let all = all.map_err(|error| error.to_string())?;
        let mut cores: Vec<u32> = all.iter().filter_map(|it| instance(&it.name)).collect();
        cores.sort_unstable();
        Ok(cores)
    }
}

/// What each core said, or why it did not, by core.
pub type ByCore<T> = Vec<(u32, Result<T, Failure>)>;

/// What was said, and in words who said nothing, if anybody.
pub(crate) fn heard<T>(answers: ByCore<T>) -> (Vec<T>, Option<Failure>) {
    let (mut heard, mut silent) = (Vec::new(), Vec::new());
    for (core, answer) in answers {
        match answer {
            Ok(answer) => heard.push(answer),
            Err(why) => silent.push(alloc::format!("core {core}: {why}")),
        }
    }
    let silent: Option<String> = (!silent.is_empty()).then(|| silent.join("; "));
    (heard, silent)
}
