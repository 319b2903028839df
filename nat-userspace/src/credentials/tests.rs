//! What a file of credentials may say, and who may read it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const TEXT: &str = "\
[[credential]]
secret_id = \"AKIDalice\"
secret_key = \"0123456789abcdef\"
account = \"alice\"
access = \"read-write\"

[[credential]]
secret_id = \"AKIDwatch\"
secret_key = \"fedcba9876543210\"
account = \"alice\"
access = \"read-only\"
";

#[test]
fn each_is_found_by_its_id_and_knows_its_key() {
    let credentials = file::parse(TEXT).unwrap();
    let alice = credentials.find("AKIDalice").unwrap();
    assert_eq!((alice.account.as_str(), alice.access), ("alice", Access::ReadWrite));
    assert_eq!(credentials.find("AKIDwatch").unwrap().access, Access::ReadOnly);
    assert!(credentials.find("AKIDalic").is_none());
    assert!(alice.is_key("0123456789abcdef"));
    for wrong in ["0123456789abcdeF", "0123456789abcde", "0123456789abcdef0", ""] {
        assert!(!alice.is_key(wrong), "{wrong}");
    }
    assert_eq!(format!("{alice:?}"), "Credential(AKIDalice of alice, ReadWrite)");
}

#[test]
fn what_is_wrong_is_said_without_telling_a_key() {
    let twice = format!("{TEXT}{TEXT}");
    for (text, problem) in [
        (twice.as_str(), "secret_id AKIDalice is given twice"),
        (&TEXT.replace("0123456789abcdef", "short"), "the secret_key of AKIDalice is not 16 to 128"),
        (&TEXT.replace("AKIDalice", "a/b"), "secret_id \"a/b\" is not 1 to 128"),
        (&TEXT.replace("\"alice\"", "\"a b\""), "\"a b\" is not a valid account id"),
        (&TEXT.replace("read-only", "all"), "line 11: unknown variant `all`, expected `read-only` or `read-write`"),
        (&TEXT.replace("secret_key = \"0", "secret_key = \"\"\"0"), "line "),
        (&TEXT.replace("account", "acount"), "line 4: unknown field `acount`"),
    ] {
        let said = format!("{:#}", file::parse(text).unwrap_err());
        assert!(said.contains(problem), "{said}");
        assert!(!said.contains("0123456789") && !said.contains("fedcba98"), "{said}");
    }
    assert!(file::parse("").unwrap().find("").is_none());
}

#[test]
fn a_file_that_others_may_read_or_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.toml");
    fs::write(&path, TEXT).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o644] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refusal = file::read(&path).unwrap_err().to_string();
        let expected = format!("run chmod 600 {}", path.display());
        assert!(refusal.ends_with(&expected), "{mode:o}: {refusal}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(file::read(&path).unwrap().find("AKIDwatch").is_some());
    let missing = format!("{:#}", file::read(&directory.path().join("no")).unwrap_err());
    assert!(missing.starts_with("cannot read the credentials "), "{missing}");
}
