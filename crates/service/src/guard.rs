//! The one guard before each method: who calls, may they, and do they not ask too much at once.
//!
//! Who calls is what the kernel said of the connection when it was made, as the bus passes it on. Nothing that
//! a caller says of itself is believed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::fdo::DBusProxy;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName, UniqueName, WellKnownName};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath};

use crate::bus::{BusKind, Buses};
use crate::card_application::CardApplication;
use crate::error::{Error, Result};
use crate::grants::{App, Permission, Shared};

/// Calls that one app may have in flight at one daemon.
const CALLS_IN_FLIGHT: usize = 16;
/// Callers that are remembered; unique names are never given twice, so forgetting only costs a call.
const REMEMBERED: usize = 256;

/// Who an object belongs to; it is part of the object's path, and the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// Somebody who operates the terminal: root, a listed operator, or a member of the operators' group.
    Operator,
    /// An installed app, by its id.
    App(String),
    /// A process on the system bus that is neither; the daemons are told apart by the names they own.
    Service,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Operator => f.write_str("operator"),
            Identity::App(id) => f.write_str(id),
            Identity::Service => f.write_str("service"),
        }
    }
}

/// One who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The bus that the call came over.
    pub bus: BusKind,
    /// The connection: where signals for this caller go.
    pub name: OwnedUniqueName,
    /// Who it is.
    pub identity: Identity,
    /// The user of its process.
    pub uid: u32,
}

impl Caller {
    /// An emitter for signals from the object at `path` to this caller alone.
    ///
    /// # Errors
    /// When `path` is no object path.
    pub fn emitter(&self, buses: &Buses, path: &ObjectPath<'_>) -> Result<SignalEmitter<'static>> {
        let emitter = SignalEmitter::new(buses.get(self.bus), path.to_owned())?;
        Ok(emitter.into_owned().set_destination(BusName::Unique(self.name.clone().into_inner())))
    }
}

/// A call that was let in; it counts against its app until dropped.
#[derive(Debug)]
pub struct Admitted {
    /// Who calls.
    pub caller: Caller,
    _ticket: Ticket,
}

/// The guard of one daemon on one bus; clones share what they know.
#[derive(Debug, Clone)]
pub struct Guard {
    bus: BusKind,
    connection: Connection,
    shared: Arc<Shared>,
    operators: Option<u32>,
    known: Arc<Mutex<HashMap<OwnedUniqueName, (Identity, u32)>>>,
    calls: Quota,
}

impl Guard {
    /// Makes the guards of a daemon, for the system bus and for the app bus.
    pub(crate) fn pair(buses: &Buses, shared: Shared) -> Guards {
        let operators = group_id(&shared.operator_group);
        let shared = Arc::new(shared);
        let calls = Quota::new(CALLS_IN_FLIGHT, "calls in flight");
        let guard = |bus: BusKind| Guard {
            bus,
            connection: buses.get(bus).clone(),
            shared: Arc::clone(&shared),
            operators,
            known: Arc::default(),
            calls: calls.clone(),
        };
        Guards { system: guard(BusKind::System), app: guard(BusKind::App) }
    }

    /// Lets a call in that needs `permission`.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] with the permission that is missing, [`Error::Throttled`] above the cap.
    pub async fn admit(&self, header: &Header<'_>, permission: Permission) -> Result<Admitted> {
        let caller = self.caller(header).await?;
        self.authorize(&caller, permission)?;
        let ticket = self.calls.enter(&caller.identity)?;
        Ok(Admitted { caller, _ticket: ticket })
    }

    /// Lets a call in that only the operator may make, whatever an app was granted.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for everybody else, [`Error::Throttled`] above the cap.
    pub async fn admit_operator(&self, header: &Header<'_>) -> Result<Admitted> {
        let caller = self.caller(header).await?;
        if caller.identity != Identity::Operator {
            return Err(Error::NotPermitted(format!(
                "this is for the terminal's operator on the system bus, not for {}",
                caller.identity
            )));
        }
        let ticket = self.calls.enter(&caller.identity)?;
        Ok(Admitted { caller, _ticket: ticket })
    }

    /// Whether `caller` has `permission`.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] with the permission that is missing.
    pub fn authorize(&self, caller: &Caller, permission: Permission) -> Result<()> {
        let granted = match &caller.identity {
            Identity::Operator => self.shared.operator_may(caller.uid, permission),
            Identity::Service => false,
            Identity::App(_) => self.app(caller).is_some_and(|app| app.permissions.contains(&permission)),
        };
        if granted {
            return Ok(());
        }
        let who = match caller.identity {
            Identity::Operator => format!("the operator {}", self.operator_name(caller)),
            _ => caller.identity.to_string(),
        };
        Err(Error::NotPermitted(format!(
            "{who} was not granted `{permission}`; the terminal's owner can grant it"
        )))
    }

    /// The applications on cards that `caller` may select. Whoever is no app has none.
    #[must_use]
    pub fn card_applications(&self, caller: &Caller) -> Vec<CardApplication> {
        self.app(caller).map(|app| app.card_applications.clone()).unwrap_or_default()
    }

    /// Whether `caller` may claim the slot of the PSAM `number`.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] with the number that is missing.
    pub fn authorize_sam(&self, caller: &Caller, number: u8) -> Result<()> {
        if self.app(caller).is_some_and(|app| app.sam_slots.contains(&number)) {
            return Ok(());
        }
        Err(Error::NotPermitted(format!(
            "{} was not granted the PSAM {number}; the terminal's owner can add it to its `sam_slots`",
            caller.identity
        )))
    }

    /// Each app, by its id.
    pub fn apps(&self) -> impl Iterator<Item = (&str, &App)> {
        self.shared.apps.iter().map(|(id, app)| (id.as_str(), app))
    }

    fn app(&self, caller: &Caller) -> Option<&App> {
        match &caller.identity {
            Identity::App(id) => self.shared.apps.get(id),
            Identity::Operator | Identity::Service => None,
        }
    }

    /// What records call the operator who calls.
    #[must_use]
    pub fn operator_name(&self, caller: &Caller) -> String {
        self.shared.operator_name(caller.uid)
    }

    /// Lets a call in that only the daemon which owns `name` on the system bus may make.
    ///
    /// The bus policy ties the name to that daemon's user.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for everybody else.
    pub async fn admit_daemon(&self, header: &Header<'_>, name: &'static str) -> Result<()> {
        let refused = || Error::NotPermitted(format!("only {name} may call this, on the system bus"));
        let sender = header.sender().ok_or_else(refused)?;
        if self.bus != BusKind::System {
            return Err(refused());
        }
        let bus = DBusProxy::new(&self.connection).await?;
        let owner =
            bus.get_name_owner(WellKnownName::from_static_str(name)?.into()).await.map_err(|_| refused())?;
        if owner.as_str() == sender.as_str() { Ok(()) } else { Err(refused()) }
    }

    /// Who sent the message with `header`.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for a connection that is nobody we know.
    pub async fn caller(&self, header: &Header<'_>) -> Result<Caller> {
        let sender =
            header.sender().ok_or_else(|| Error::NotPermitted("a call without a sender".to_string()))?;
        let name = OwnedUniqueName::from(sender.to_owned());
        let remembered = self.lock().get(&name).cloned();
        let (identity, uid) = match remembered {
            Some(known) => known,
            None => self.identify(sender).await?,
        };
        Ok(Caller { bus: self.bus, name, identity, uid })
    }

    async fn identify(&self, sender: &UniqueName<'_>) -> Result<(Identity, u32)> {
        let bus = DBusProxy::new(&self.connection).await?;
        let credentials = bus
            .get_connection_credentials(BusName::Unique(sender.clone()))
            .await
            .map_err(|error| Error::NotPermitted(format!("the bus does not vouch for {sender}: {error}")))?;
        let uid = credentials
            .unix_user_id()
            .ok_or_else(|| Error::NotPermitted(format!("the bus does not know the user of {sender}")))?;
        let groups = credentials.unix_group_ids().map(Vec::as_slice).unwrap_or_default();
        let identity = self.identity(uid, groups)?;
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(OwnedUniqueName::from(sender.to_owned()), (identity.clone(), uid));
        Ok((identity, uid))
    }

    fn identity(&self, uid: u32, groups: &[u32]) -> Result<Identity> {
        match self.bus {
            BusKind::App => {
                let development = self.shared.development.as_ref();
                if let Some(development) = development.filter(|development| development.uid == uid) {
                    return Ok(Identity::App(development.app.clone()));
                }
                let app = self.shared.apps.iter().find(|(_, app)| app.uid == uid);
                app.map(|(id, _)| Identity::App(id.clone()))
                    .ok_or_else(|| Error::NotPermitted(format!("uid {uid} is no installed app")))
            }
            BusKind::System => {
                let in_group = self.operators.is_some_and(|group| groups.contains(&group));
                Ok(if self.shared.is_operator(uid, in_group) {
                    Identity::Operator
                } else {
                    Identity::Service
                })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OwnedUniqueName, (Identity, u32)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A daemon's guards, one for each bus.
#[derive(Debug, Clone)]
pub struct Guards {
    /// For what is served on the system bus.
    pub system: Guard,
    /// For what is served on the app bus.
    pub app: Guard,
}

impl Guards {
    /// Each bus with its guard: what a daemon serves, it serves on both.
    pub fn each(&self) -> [(&Connection, &Guard); 2] {
        [(&self.system.connection, &self.system), (&self.app.connection, &self.app)]
    }
}

/// A cap on how much of something one caller may have at a time.
#[derive(Debug, Clone)]
pub struct Quota {
    limit: usize,
    what: &'static str,
    used: Arc<Mutex<HashMap<Identity, usize>>>,
}

impl Quota {
    /// At most `limit` of `what` for each caller.
    #[must_use]
    pub fn new(limit: usize, what: &'static str) -> Quota {
        Quota { limit, what, used: Arc::default() }
    }

    /// Counts one more for `identity`, until the ticket is dropped.
    ///
    /// # Errors
    /// [`Error::Throttled`] at the cap.
    pub fn enter(&self, identity: &Identity) -> Result<Ticket> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let count = used.entry(identity.clone()).or_default();
        if *count >= self.limit {
            return Err(Error::Throttled(format!(
                "{identity} has {} {} already; wait for one to end",
                self.limit, self.what
            )));
        }
        *count = count.saturating_add(1);
        Ok(Ticket { quota: self.clone(), identity: identity.clone() })
    }
}

/// One counted thing; dropping it gives the place back.
#[derive(Debug)]
pub struct Ticket {
    quota: Quota,
    identity: Identity,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut used = self.quota.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(&self.identity) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                used.remove(&self.identity);
            }
        }
    }
}

fn group_id(name: &str) -> Option<u32> {
    match nix::unistd::Group::from_name(name) {
        Ok(group) => group.map(|group| group.gid.as_raw()),
        Err(error) => {
            log::warn!("the group {name} can't be looked up: {error}; only root operates");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_counts_each_caller_apart_and_gives_places_back() {
        let quota = Quota::new(1, "jobs");
        let shop = Identity::App("com.example.shop".to_string());
        let first = quota.enter(&shop).unwrap();
        assert!(matches!(quota.enter(&shop), Err(Error::Throttled(_))));
        quota.enter(&Identity::Operator).unwrap();
        drop(first);
        quota.enter(&shop).unwrap();
    }
}
