//! Handshakes that stop in the middle, certificates that change, and no talk in the open off the loopback.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::lab::edges::{self, API, USER};
use lab::lab::{Lab, SOON, Settings, wait};

use super::{Siege, siege_with};

/// Puts a new certificate and its key in place of earlier ones.
fn certify(directory: &Path, trusted: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let put = |name: &str, text: String| {
        let next = directory.join("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(next, directory.join(name)).unwrap();
    };
    put("key.pem", made.signing_key.serialize_pem());
    put("certificate.pem", made.cert.pem());
    fs::write(trusted, made.cert.pem()).unwrap();
}

fn with_certificate(lab: &Lab, settings: &mut Settings) {
    certify(&lab.directory, &lab.directory.join("first.pem"));
    let file = settings.more.last().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let place = lab.directory.display();
    let tls = format!("tls_certificate = \"{place}/certificate.pem\"\ntls_key = \"{place}/key.pem\"\n");
    fs::write(file, text + &tls).unwrap();
}

/// Whether the API shows a certificate that this file vouches for.
fn is_trusted(siege: &Siege, file: &str) -> bool {
    let (trusted, url) = (siege.lab.directory.join(file).display().to_string(), format!("https://{API}/"));
    let said =
        siege.lab.gateway.output(&["curl", "-sS", "--max-time", "10", "--cacert", &trusted, &url], SOON).unwrap();
    // Not signed, so it is refused, but by somebody who is who they say.
    assert!(!said.success() || said.stdout.contains("AuthFailure.InvalidAuthorization"), "{said}");
    said.success()
}

#[test]
fn e12_handshakes_that_stop_are_cut_off_and_a_new_certificate_is_in_effect_by_itself() {
    let siege = siege_with(with_certificate);
    let polite = || assert!(is_trusted(&siege, "first.pem"), "{}", siege.lab.daemon.log());
    siege.endured_by(polite, || {
        // A whole ClientHello would be answered; of these there is nothing, a part, or something else.
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        let began = Instant::now();
        let stalled: Vec<_> = [&b""[..], &hello[..1], &hello, b"POST / HTTP/1.1\r\n\r\n"]
            .into_iter()
            .cycle()
            .take(60)
            .map(|begun| {
                let mut stream = siege.connect();
                stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
                let _ = stream.write_all(begun);
                stream
            })
            .collect();
        for mut stream in stalled {
            let mut said = Vec::new();
            // Closed or reset; an alert may come before that.
            if let Err(error) = stream.read_to_end(&mut said) {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            }
            assert!(!said.starts_with(b"HTTP"), "answered without TLS");
        }
        assert!(began.elapsed() < Duration::from_secs(40));
    });
    certify(&siege.lab.directory, &siege.lab.directory.join("second.pem"));
    wait::until("the new certificate", SOON, || is_trusted(&siege, "second.pem").then_some(())).unwrap();
    assert!(!is_trusted(&siege, "first.pem"));
    // One that is none changes nothing.
    let broken = "the TLS certificate";
    fs::write(siege.lab.directory.join("certificate.pem"), "no certificate").unwrap();
    wait::until("the complaint", SOON, || {
        let log = siege.lab.daemon.log();
        log.lines().any(|line| line.contains("WARN") && line.contains(broken)).then_some(())
    })
    .unwrap();
    assert!(is_trusted(&siege, "second.pem"));
}

#[test]
fn e12_off_the_loopback_nothing_is_served_in_the_open() {
    let lab = Lab::new().unwrap();
    let settings = edges::settings(&lab.directory, &[USER]).unwrap();
    let file = settings.more.last().unwrap();
    let text = fs::read_to_string(file).unwrap();
    for (setting, address) in [("api_listen", API), ("console_listen", edges::CONSOLE)] {
        let outside = format!("198.51.100.2:{}", address.port());
        let open = text.replace(&format!("\"{address}\""), &format!("\"{outside}\""));
        fs::write(file, open).unwrap();
        let refused = lab.daemon.refuse(&settings).unwrap();
        let said = format!("{setting} {outside} can be reached from other hosts and is not encrypted");
        assert!(refused.stderr.contains(&said) || lab.daemon.log().contains(&said), "{refused}");
    }
}
