//! Who is logged in: one-time codes and sessions, in memory only. Whoever restarts the board logs everybody out and loses nothing
//! else (D-60).

use std::time::Duration;

use k8s_openapi::api::authentication::v1::UserInfo;

use crate::timed::Timed;

/// How long a session lasts.
pub(crate) const LIFE: Duration = Duration::from_secs(8 * 3600);
/// How long a code waits for its browser.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(60);
/// More than people who run deliveries.
const MOST: usize = 10_000;

/// Somebody who is logged in, as the API server knows them.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: UserInfo,
}

impl Session {
    /// What the page calls them.
    pub(crate) fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or("somebody")
    }
}

#[derive(Debug)]
pub(crate) struct Sessions {
    codes: Timed<UserInfo>,
    sessions: Timed<UserInfo>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { codes: Timed::new(MOST), sessions: Timed::new(MOST) }
    }
}

impl Sessions {
    /// A code worth one session of this user.
    pub(crate) fn offer(&self, user: UserInfo) -> String {
        self.codes.put(user, CODE_LIFE)
    }

    /// The id of a new session for whoever brings a code; `None` if it was used, is too old or never was.
    pub(crate) fn redeem(&self, code: &str) -> Option<String> {
        let user = self.codes.take(code)?;
        Some(self.open(user))
    }

    /// The id of a new session.
    pub(crate) fn open(&self, user: UserInfo) -> String {
        self.sessions.put(user, LIFE)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Session> {
        let user = self.sessions.get(id)?;
        Some(Session { id: id.to_owned(), user })
    }

    pub(crate) fn end(&self, id: &str) {
        self.sessions.take(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserInfo {
        UserInfo { username: Some(name.into()), ..UserInfo::default() }
    }

    #[test]
    fn a_code_is_worth_one_session_and_a_session_ends_for_good() {
        let sessions = Sessions::default();
        let code = sessions.offer(user("ann"));
        let id = sessions.redeem(&code).unwrap();
        assert_eq!(sessions.redeem(&code), None);
        assert_eq!(sessions.redeem(&id), None, "a session is no code");
        assert_eq!(sessions.find(&id).unwrap().name(), "ann");
        assert!(sessions.find(&code).is_none(), "a code is no session");
        sessions.end(&id);
        assert!(sessions.find(&id).is_none());
    }
}
