//! What a command can end with other than success.

use std::fmt;
use std::process::ExitCode;

use crate::admin::client::ClientError;
use crate::admin::wire::ComplaintKind;

/// The exit status of `status` where the gateway is degraded.
pub(super) const DEGRADED: u8 = 6;

/// One sentence and an exit status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: u8,
    pub(super) sentence: String,
}

impl Failure {
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let status = match &error {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::CutOff { .. } => 5,
            ClientError::Misunderstood(_) => 1,
            ClientError::Refused(complaint) => match complaint.kind {
                ComplaintKind::NotFound => 3,
                ComplaintKind::Conflict => 4,
                ComplaintKind::Invalid | ComplaintKind::Exhausted | ComplaintKind::Internal => 1,
            },
        };
        Failure { status, sentence: error.to_string() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure { status: 1, sentence: format!("{error:#}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::client::Client;
    use crate::admin::wire::{Complaint, Request};

    #[test]
    fn every_kind_of_refusal_has_its_exit_status() {
        use ComplaintKind::{Conflict, Exhausted, Internal, Invalid, NotFound};
        for (kind, status) in [(NotFound, 3), (Conflict, 4), (Invalid, 1), (Exhausted, 1), (Internal, 1)] {
            let complaint = Complaint { kind, code: "code".into(), message: "no, because".into(), pair: None };
            let failure = Failure::from(ClientError::Refused(complaint));
            assert_eq!(failure, Failure { status, sentence: "no, because".into() });
        }
        assert_eq!(Failure::from(anyhow::anyhow!("cause").context("what")).sentence, "what: cause");
    }

    #[test]
    fn a_daemon_that_is_not_there_is_status_5() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("eipgate.sock");
        let failure = Failure::from(Client::new(&socket).ask::<()>(&Request::Status {}).unwrap_err());
        let sentence = format!(
            "cannot reach the daemon at {} (No such file or directory (os error 2)); \
             is `eipgate run` running, and is this its --socket?",
            socket.display()
        );
        assert_eq!(failure, Failure { status: 5, sentence });
    }
}
