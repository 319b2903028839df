//! Who is logged in. Sessions live in memory only: a restart of the daemon ends them all.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::address::AccountId;

/// Without a request for so long, a session is over.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// And in any case after so long.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one credential; one more ends the one that was used least recently.
const OF_A_CREDENTIAL: usize = 32;
/// Sessions altogether, likewise.
const ALTOGETHER: usize = 4096;

/// 256 bits of chance, as text. Whoever can tell it is who it was given to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Secret(String);

impl Secret {
    /// Draws one. Without the kernel's chance there is no secret.
    pub(super) fn draw() -> Result<Secret, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Secret(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is it. Takes as long whatever part of it is right.
    pub(super) fn is(&self, told: &str) -> bool {
        let (own, told) = (self.0.as_bytes(), told.as_bytes());
        own.len() == told.len() && own.iter().zip(told).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// One log-in.
#[derive(Clone)]
pub(super) struct Session {
    /// Which credential it was.
    pub(super) secret_id: String,
    /// Its key then: a session ends with the key that began it.
    pub(super) secret_key: String,
    /// Whose it is.
    pub(super) account: AccountId,
    /// What every form of this session carries.
    pub(super) csrf: Secret,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.began) >= LIFE
    }
}

/// All of them, each with what is to be said on its next page.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: HashMap<String, Session>,
    notices: HashMap<String, String>,
}

impl Sessions {
    /// Begins one and answers its id, which only its cookie knows.
    pub(super) fn begin(
        &mut self,
        secret_id: &str,
        secret_key: &str,
        account: &AccountId,
        now: Instant,
    ) -> Result<Secret, getrandom::Error> {
        let (id, csrf) = (Secret::draw()?, Secret::draw()?);
        self.by_id.retain(|_, session| !session.is_over(now));
        let same: Vec<(Instant, String)> = self.idle_first(|session| session.secret_id == secret_id);
        let surplus = (same.len() + 1).saturating_sub(OF_A_CREDENTIAL);
        same.into_iter().take(surplus).for_each(|(_, id)| drop(self.by_id.remove(&id)));
        if self.by_id.len() >= ALTOGETHER
            && let Some((_, id)) = self.idle_first(|_| true).first()
        {
            self.by_id.remove(id);
        }
        self.notices.retain(|id, _| self.by_id.contains_key(id));
        let session = Session {
            secret_id: secret_id.to_owned(),
            secret_key: secret_key.to_owned(),
            account: account.clone(),
            csrf,
            began: now,
            used: now,
        };
        self.by_id.insert(id.as_str().to_owned(), session);
        Ok(id)
    }

    /// The session of that id.
    pub(super) fn find(&mut self, id: &str, now: Instant) -> Option<Session> {
        if self.by_id.get(id)?.is_over(now) {
            self.end(id);
        }
        self.by_id.get(id).cloned()
    }

    /// The session of that id, which is used now.
    pub(super) fn use_it(&mut self, id: &str, now: Instant) -> Option<Session> {
        let found = self.find(id, now)?;
        self.by_id.get_mut(id)?.used = now;
        Some(found)
    }

    /// Ends it.
    pub(super) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
        self.notices.remove(id);
    }

    /// Keeps a sentence for its next page.
    pub(super) fn note(&mut self, id: &str, notice: String) {
        if self.by_id.contains_key(id) {
            self.notices.insert(id.to_owned(), notice);
        }
    }

    /// That sentence, once.
    pub(super) fn take_notice(&mut self, id: &str) -> Option<String> {
        self.notices.remove(id)
    }

    fn idle_first(&self, which: impl Fn(&Session) -> bool) -> Vec<(Instant, String)> {
        let chosen = self.by_id.iter().filter(|(_, session)| which(session));
        let mut found: Vec<_> = chosen.map(|(id, session)| (session.used, id.clone())).collect();
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_session_ends_when_idle_and_when_old() {
        let (mut sessions, begin) = (Sessions::default(), Instant::now());
        let id = sessions.begin("AKIDa", "key", &account(), begin).unwrap();
        let mut now = begin;
        while now.duration_since(begin) + Duration::from_secs(1700) < LIFE {
            now += Duration::from_secs(1700);
            assert!(sessions.use_it(id.as_str(), now).is_some(), "in use");
        }
        assert!(sessions.use_it(id.as_str(), begin + LIFE).is_none(), "in use, and old");
        let id = sessions.begin("AKIDa", "key", &account(), begin).unwrap();
        assert!(sessions.find(id.as_str(), begin + IDLE / 2).is_some(), "which does not keep it alive");
        assert!(sessions.use_it(id.as_str(), begin + IDLE).is_none(), "idle");
        assert!(sessions.use_it(id.as_str(), begin).is_none(), "gone for good");
    }

    #[test]
    fn ids_are_never_the_same_and_of_256_bits() {
        let drawn: std::collections::HashSet<String> =
            (0..100).map(|_| Secret::draw().unwrap().as_str().to_owned()).collect();
        assert_eq!(drawn.len(), 100);
        assert!(drawn.iter().all(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        let secret = Secret::draw().unwrap();
        assert!(secret.is(&secret.0) && !secret.is("") && !secret.is(&secret.0[1..]) && !secret.is(&"0".repeat(64)));
    }

    #[test]
    fn many_sessions_push_out_the_longest_idle() {
        let (mut sessions, begin) = (Sessions::default(), Instant::now());
        let at = |second: usize| begin + Duration::from_secs(second as u64);
        let other = sessions.begin("AKIDb", "key", &account(), begin).unwrap();
        let ids: Vec<_> =
            (0..OF_A_CREDENTIAL).map(|i| sessions.begin("AKIDa", "key", &account(), at(i)).unwrap()).collect();
        assert!(sessions.use_it(ids[0].as_str(), at(100)).is_some());
        let one_more = sessions.begin("AKIDa", "key", &account(), at(101)).unwrap();
        assert!(sessions.use_it(ids[0].as_str(), at(102)).is_some());
        assert!(sessions.use_it(ids[1].as_str(), at(102)).is_none());
        assert!(sessions.use_it(one_more.as_str(), at(102)).is_some());
        assert!(sessions.use_it(other.as_str(), at(102)).is_some(), "another credential's");
    }

    #[test]
    fn a_notice_is_told_once_and_to_its_session_only() {
        let mut sessions = Sessions::default();
        let id = sessions.begin("AKIDa", "key", &account(), Instant::now()).unwrap();
        sessions.note(id.as_str(), "done".into());
        sessions.note("strange", "lost".into());
        assert_eq!(sessions.take_notice(id.as_str()).as_deref(), Some("done"));
        assert_eq!(sessions.take_notice(id.as_str()), None);
        assert_eq!(sessions.take_notice("strange"), None);
    }
}
