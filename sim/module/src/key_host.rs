//! The key distribution host that the module is bound to (X9 TR-34), and the random number that its next token answers.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use keys::Key;
use link::Refusal;
use tr34::{Binding, Nonce, Receiver};
use zeroize::Zeroizing;

use crate::{Refused, pki, refused};

/// The module's end of TR-34.
pub struct KeyHost {
    credential: PathBuf,
    /// Read when it is first needed.
    receiver: Option<Receiver>,
    binding: Option<Binding>,
    /// When the latest list of revoked certificates was made.
    latest: Duration,
    nonce: Option<Nonce>,
}

impl KeyHost {
    /// With the private key, the certificate and the authority of hosts in the folder `dir`, which [`pki`](crate::pki) makes.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { credential: dir, receiver: None, binding: None, latest: Duration::ZERO, nonce: None }
    }

    /// With what was kept: the certificate of the bound host, and when the latest list was made.
    pub(crate) fn recall(&mut self, host: Option<&[u8]>, list_made: Duration) -> tr34::Result<()> {
        self.binding = host.map(|host| Binding::restore(host, list_made)).transpose()?;
        self.latest = list_made;
        Ok(())
    }

    /// What is to be kept, as [`recall`](Self::recall) takes it.
    pub(crate) fn kept(&self) -> (Option<Vec<u8>>, Duration) {
        (self.binding.as_ref().map(|binding| binding.host().to_vec()), self.latest)
    }

    fn receiver(&mut self) -> Result<&Receiver, Refused> {
        if self.receiver.is_none() {
            let read = |name: &str| {
                let file = self.credential.join(name);
                let missing = |error| (Refusal::NotSupported, format!("{}: {error}", file.display()));
                std::fs::read(&file).map(Zeroizing::new).map_err(missing)
            };
            let receiver = Receiver::new(&read(pki::KRD_KEY)?, &read(pki::KRD)?, &read(pki::CA_KDH)?);
            self.receiver = Some(receiver.map_err(invalid)?);
        }
        self.receiver.as_ref().ok_or_else(|| (Refusal::NotSupported, "no credential".to_owned()))
    }

    pub(crate) fn credential(&mut self) -> Result<Vec<u8>, Refused> {
        self.receiver()?.credential().map_err(invalid)
    }

    pub(crate) fn bind(&mut self, credential: &[u8]) -> Result<(), Refused> {
        if self.binding.is_some() {
            return refused(Refusal::Invalid, "a host is bound already: it can rebind or unbind");
        }
        let latest = self.latest;
        let binding = self.receiver()?.bind(credential, latest, now()?).map_err(invalid)?;
        self.keep(Some(binding));
        Ok(())
    }

    /// A new random number token.
    pub(crate) fn nonce(&mut self) -> Result<Vec<u8>, Refused> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| (Refusal::NotSupported, format!("no randomness: {error}")))?;
        let nonce = Nonce::new(&random).map_err(invalid)?;
        let token = nonce.token().map_err(invalid)?;
        self.nonce = Some(nonce);
        Ok(token)
    }

    pub(crate) fn receive(&mut self, token: &[u8]) -> Result<Key, Refused> {
        let nonce = self.asked()?;
        let mut binding = self.binding.clone().ok_or_else(unbound)?;
        let key = self.receiver()?.receive(&mut binding, nonce, token, now()?);
        self.keep(Some(binding));
        key.map_err(invalid)
    }

    pub(crate) fn rebind(&mut self, token: &[u8]) -> Result<(), Refused> {
        let nonce = self.asked()?;
        let mut binding = self.binding.clone().ok_or_else(unbound)?;
        let rebound = self.receiver()?.rebind(&mut binding, nonce, token, now()?);
        self.keep(Some(binding));
        rebound.map_err(invalid)
    }

    pub(crate) fn unbind(&mut self, token: &[u8]) -> Result<(), Refused> {
        let nonce = self.asked()?;
        let mut binding = self.binding.clone().ok_or_else(unbound)?;
        let unbound = self.receiver()?.unbind(&mut binding, nonce, token, now()?);
        self.keep(Some(binding));
        unbound.map_err(invalid)?;
        self.keep(None);
        Ok(())
    }

    /// Keeps a binding, or none, and in any case how new the latest list was.
    fn keep(&mut self, binding: Option<Binding>) {
        self.binding = binding;
        if let Some(binding) = &self.binding {
            self.latest = self.latest.max(binding.list_made());
        }
    }

    /// The random number, which is used up.
    fn asked(&mut self) -> Result<Nonce, Refused> {
        self.nonce
            .take()
            .ok_or_else(|| (Refusal::Invalid, "no random number was asked for, or it was used".to_owned()))
    }
}

fn unbound() -> Refused {
    (Refusal::NoKey, "no key distribution host is bound".to_owned())
}

/// The module's own clock.
pub(crate) fn now() -> Result<Duration, Refused> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_err(|_| (Refusal::NotSupported, "the module's clock is wrong".to_owned()))
}

fn invalid(error: tr34::Error) -> Refused {
    (Refusal::Invalid, error.to_string())
}
