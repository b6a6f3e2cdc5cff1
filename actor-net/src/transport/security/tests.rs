//! Keys that are refused before any peer sees them, proofs that hold only where they were made, and
//! secrets that do not show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::shared::{Prover, Role};
use super::{HandshakeFailure, KeyError, Keyring, Mtls, PinnedKeys, Security, SharedKey};

/// A directory that goes away with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("actor-net-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, mode: u32, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        // Removed first: a file keeps its mode when it is written anew.
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const DIGITS: &str = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
const OTHER: &str = "17a98d20ce4ba0f37756fa89c1b0d2e35f608437bd3a19eec4682b05f1739dcc";

fn load(security: Security) -> Result<Keyring, KeyError> {
    Keyring::load(security)
}

#[test]
fn what_people_type_is_no_shared_key() {
    assert!(matches!(
        SharedKey::new(&[]),
        Err(KeyError::Short { bytes: 0 })
    ));
    assert!(matches!(
        SharedKey::new(&[1; 31]),
        Err(KeyError::Short { .. })
    ));
    assert!(matches!(
        SharedKey::new(&[1; 4096]),
        Err(KeyError::Guessable)
    ));
    assert!(matches!(
        SharedKey::new(b"correct horse battery staple 1234"),
        Err(KeyError::Guessable)
    ));
    assert!(matches!(
        SharedKey::from_hex("xyz"),
        Err(KeyError::Guessable)
    ));
    assert!(SharedKey::from_hex(DIGITS).is_ok());
    assert!(
        SharedKey::new(DIGITS.as_bytes()).is_ok(),
        "the digits themselves have 256 bits"
    );
}

#[test]
fn secrets_do_not_show() {
    let key = SharedKey::from_hex(DIGITS).unwrap();
    let all = format!(
        "{key:?} {:?} {:#?}",
        Security::shared_key(key.clone()),
        key.prover()
    );
    assert!(!all.contains("8f1d") && !all.contains("143"), "{all}");
    let dir = Dir::new("show");
    let pair = KeyPair::generate().unwrap();
    let path = dir.write("broken.key", 0o600, pair.serialize_pem().replace('M', "*"));
    let error = PinnedKeys::fingerprint_of(&path).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn a_proof_holds_in_its_session_and_its_direction_only() {
    let prover = |digits| SharedKey::from_hex(digits).unwrap().prover();
    let (ours, wrong) = (prover(DIGITS), prover(OTHER));
    let (here, elsewhere) = ([1; 32], [2; 32]);
    let proof = ours.prove(Role::Dialler, &here, None);
    assert!(ours.check(Role::Dialler, &here, &proof).is_some());
    assert!(
        ours.check(Role::Listener, &here, &proof).is_none(),
        "reflected"
    );
    assert!(
        ours.check(Role::Dialler, &elsewhere, &proof).is_none(),
        "relayed"
    );
    assert!(wrong.check(Role::Dialler, &here, &proof).is_none());
    let mut bent = proof;
    bent[31] ^= 1;
    assert!(ours.check(Role::Dialler, &here, &bent).is_none());
}

#[test]
fn during_a_change_both_keys_work_whoever_dials() {
    let key = |digits| SharedKey::from_hex(digits).unwrap();
    let old: Prover = key(DIGITS).prover();
    let both = key(OTHER).and_accept(key(DIGITS)).prover();
    let session = [9; 32];
    // The old dials: it is answered with what it knows.
    let proof = old.prove(Role::Dialler, &session, None);
    let known = both.check(Role::Dialler, &session, &proof).unwrap();
    let answer = both.prove(Role::Listener, &session, Some(known));
    assert!(old.check(Role::Listener, &session, &answer).is_some());
    // The new dials with its first key, which the old does not have: so first both accept, then one proves.
    let proof = both.prove(Role::Dialler, &session, None);
    assert!(old.check(Role::Dialler, &session, &proof).is_none());
}

#[test]
fn files_of_secrets_are_for_their_owner() {
    let dir = Dir::new("modes");
    let file = |mode| load(Security::shared_key_file(dir.write("key", mode, DIGITS)));
    assert!(file(0o600).is_ok() && file(0o400).is_ok());
    for mode in [0o644, 0o604, 0o620, 0o660, 0o777] {
        let error = file(mode).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("{mode:03o}")),
            "{error}"
        );
    }
}

#[test]
fn files_of_shared_keys_say_which_line_is_wrong() {
    let dir = Dir::new("lines");
    let file = |text: &str| load(Security::shared_key_file(dir.write("key", 0o600, text)));
    assert!(file(&format!("{DIGITS}\n\n{OTHER}\n")).is_ok());
    let error = file(&format!("{DIGITS}\nnot hex\n")).unwrap_err();
    assert!(matches!(error, KeyError::Hex { line: 2, .. }), "{error}");
    assert!(matches!(file("\n").unwrap_err(), KeyError::Missing { .. }));
    assert!(matches!(
        file("00ff").unwrap_err(),
        KeyError::Short { bytes: 2 }
    ));
    let gone = load(Security::shared_key_file(dir.0.join("gone"))).unwrap_err();
    assert!(gone.to_string().contains("gone"), "{gone}");
}

#[test]
fn lists_of_pinned_keys_say_which_line_is_wrong() {
    let dir = Dir::new("pins");
    let key = dir.write(
        "own.key",
        0o600,
        KeyPair::generate().unwrap().serialize_pem(),
    );
    let pin = PinnedKeys::fingerprint_of(&key).unwrap();
    let list = |text: &str| {
        let list = dir.write("list", 0o644, text);
        load(Security::pinned_keys(PinnedKeys::from_files(&key, list)))
    };
    assert!(list(&format!("# ours\n{pin} peer-a # rack 2\n\n")).is_ok());
    let error = list(&format!("{pin}\nsha256:12\n")).unwrap_err();
    assert!(error.to_string().starts_with("line 2: "), "{error}");
    assert!(matches!(list("# nobody\n").unwrap_err(), KeyError::NoPins));
}

struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { ca }
    }

    fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let pair = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&pair, &self.ca).unwrap();
        (certificate.pem(), pair.serialize_pem())
    }
}

fn mtls(dir: &Dir, ca: &str, (certificate, key): &(String, String)) -> Mtls {
    Mtls::new(
        dir.write("ca.pem", 0o644, ca),
        dir.write("peer.pem", 0o644, certificate),
        dir.write("peer.key", 0o600, key),
    )
}

#[test]
fn an_own_certificate_that_peers_would_refuse_is_found_at_the_start() {
    let dir = Dir::new("own");
    let (pki, other) = (Pki::new(), Pki::new());
    let good = pki.issue(&["peer-a"], |_| {});
    let start =
        |ca: &Pki, pair: &(String, String)| load(Security::mtls(mtls(&dir, &ca.ca.pem(), pair)));
    let failure = |result: Result<Keyring, KeyError>| match result.unwrap_err() {
        KeyError::OwnCertificate { failure, .. } => failure,
        other => panic!("{other}"),
    };
    assert!(start(&pki, &good).unwrap().loaded().expires().is_some());
    assert_eq!(
        failure(start(&other, &good)),
        HandshakeFailure::UnknownIssuer
    );
    let old = pki.issue(&["peer-a"], |p| {
        p.not_before = date_time_ymd(2001, 1, 1);
        p.not_after = date_time_ymd(2002, 1, 1);
    });
    let expired = start(&pki, &old).unwrap_err();
    assert!(
        expired.to_string().contains("expired 2002-01-01"),
        "{expired}"
    );
    let young = pki.issue(&["peer-a"], |p| p.not_before = date_time_ymd(2999, 1, 1));
    assert!(matches!(
        failure(start(&pki, &young)),
        HandshakeFailure::CertificateNotYetValid { .. }
    ));
    let nameless = pki.issue(&[], |_| {});
    assert_eq!(failure(start(&pki, &nameless)), HandshakeFailure::NoName);
    let half = pki.issue(&["peer-a"], |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(failure(start(&pki, &half)), HandshakeFailure::WrongPurpose);

    let mixed = (good.0.clone(), old.1.clone());
    assert!(matches!(
        start(&pki, &mixed).unwrap_err(),
        KeyError::Mismatch { .. }
    ));
    let named = mtls(&dir, &pki.ca.pem(), &good).cluster_name("prod.internal");
    assert!(matches!(
        failure(load(Security::mtls(named))),
        HandshakeFailure::WrongName { .. }
    ));
    let swapped = (good.1.clone(), good.0.clone());
    assert!(matches!(
        start(&pki, &swapped).unwrap_err(),
        KeyError::Missing { .. }
    ));
}

#[test]
fn changed_files_replace_the_whole_or_nothing() {
    let dir = Dir::new("reload");
    let pki = Pki::new();
    let (first, second) = (pki.issue(&["a"], |_| {}), pki.issue(&["a"], |_| {}));
    let keyring = load(Security::mtls(mtls(&dir, &pki.ca.pem(), &first))).unwrap();
    assert!(!keyring.reload().unwrap());
    let before = keyring.loaded();
    dir.write("peer.pem", 0o644, &second.0);
    assert!(matches!(keyring.reload(), Err(KeyError::Mismatch { .. })));
    assert!(std::sync::Arc::ptr_eq(&before, &keyring.loaded()));
    dir.write("peer.key", 0o600, &second.1);
    assert!(keyring.reload().unwrap());
    assert!(!std::sync::Arc::ptr_eq(&before, &keyring.loaded()));
}
