//! Why two processes did not come together: one list for both sides, each entry with what to do.
//!
//! The side that finds the fault knows it in full (`CertificateExpired { not_after }`). The other is told
//! over TLS by an alert, or in the admission by a [`Verdict`], and reports [`HandshakeFailure::Refused`].
//! What a stranger is told is no more than that: nothing of keys, names or limits.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use super::identity::{Fingerprint, Mode, NotPinned};

/// Why a connection did not become a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The other side did not finish in time.
    TimedOut {
        /// `handshake_within`.
        after: Duration,
    },
    /// The other side sent too much before it was authenticated.
    TooManyBytes {
        /// `handshake_bytes_max`.
        limit: usize,
    },
    /// The other side ended the connection in the middle of it.
    Closed,
    /// The connection broke.
    Io {
        /// What kind of error it was.
        kind: io::ErrorKind,
        /// What the system says.
        text: String,
    },
    /// The other side speaks without TLS.
    SpokePlain,
    /// The other side speaks TLS, and this one is `Security::insecure`.
    SpokeTls,
    /// The first bytes are nothing that this crate says.
    NotActorNet,
    /// The other side does not speak TLS 1.3.
    TlsVersion,
    /// The other side uses another way to authenticate.
    OtherMode {
        /// What this side uses.
        ours: Mode,
    },
    /// The other side speaks another version of the admission.
    Version {
        /// What this side speaks.
        ours: u8,
        /// What the other speaks.
        theirs: u8,
    },
    /// The other side's certificate has expired.
    CertificateExpired {
        /// When that was.
        not_after: SystemTime,
    },
    /// The other side's certificate is not valid yet.
    CertificateNotYetValid {
        /// When it will be.
        not_before: SystemTime,
    },
    /// The other side's certificate comes from a certificate authority that this side does not know.
    UnknownIssuer,
    /// The other side's certificate is for others.
    WrongName {
        /// Whom this side wanted.
        expected: String,
        /// Whom the certificate is for.
        presented: Vec<String>,
    },
    /// The other side's certificate has no subject alternative name that says who it is.
    NoName,
    /// The other side presented no certificate.
    NoCertificate,
    /// The other side's certificate may not be used for this.
    WrongPurpose,
    /// There is something else about the other side's certificate.
    BadCertificate(String),
    /// The other side's key is not in this side's list.
    KeyNotPinned {
        /// The key, as it would stand in the list.
        key: Fingerprint,
    },
    /// The other side does not know the shared key.
    WrongSharedKey,
    /// The other side refused this one.
    Refused(Verdict),
    /// TLS failed in some other way.
    Tls(String),
}

/// What a side says that refuses the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It could not authenticate this side.
    NotAuthenticated,
    /// This side's certificate has expired, or is not valid yet, by its clock.
    CertificateDates,
    /// It does not know who signed this side's certificate.
    UnknownIssuer,
    /// It found this side's certificate wanting.
    BadCertificate,
    /// It wants a certificate.
    NoCertificate,
    /// It does not have this side's key in its list.
    KeyNotPinned,
    /// It speaks another version.
    Version,
    /// It authenticates in another way.
    OtherMode,
    /// It has as many links as it may, in all or with this peer.
    TooManyLinks,
    /// It is shutting down.
    ShuttingDown,
    /// Something else.
    Other(String),
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { after } => write!(
                f,
                "the peer did not finish the handshake within {after:?}; if it is only slow, raise handshake_within"
            ),
            Self::TooManyBytes { limit } => write!(
                f,
                "the peer sent more than {limit} bytes before it was authenticated; if its certificate chain is that long, raise handshake_bytes_max"
            ),
            Self::Closed => f.write_str(
                "the peer closed the connection during the handshake; its own log says why",
            ),
            Self::Io { text, .. } => write!(f, "the connection broke: {text}"),
            Self::SpokePlain => f.write_str(
                "the peer speaks without TLS; configure the same security mode on both sides",
            ),
            Self::SpokeTls => f.write_str(
                "the peer speaks TLS and this side is insecure; configure the same security mode on both sides",
            ),
            Self::NotActorNet => f.write_str(
                "the peer does not speak this protocol; check the address and the port",
            ),
            Self::TlsVersion => {
                f.write_str("the peer does not speak TLS 1.3; nothing older is accepted")
            }
            Self::OtherMode { ours } => write!(
                f,
                "the peer does not authenticate by {ours}; configure the same security mode on both sides"
            ),
            Self::Version { ours, theirs } => write!(
                f,
                "the peer speaks version {theirs} of the admission, this side version {ours}; upgrade the older one"
            ),
            Self::CertificateExpired { not_after } => write!(
                f,
                "the peer's certificate expired {}; renew it there, and compare the clocks",
                Utc(*not_after)
            ),
            Self::CertificateNotYetValid { not_before } => write!(
                f,
                "the peer's certificate is valid from {} only; compare the clocks",
                Utc(*not_before)
            ),
            Self::UnknownIssuer => f.write_str(
                "the peer's certificate is not signed by a certificate authority of this side's CA file; give both sides the same",
            ),
            Self::WrongName {
                expected,
                presented,
            } => write!(
                f,
                "the peer's certificate is for {}, not for {expected:?}; dial the name it has, issue one with this name, or set Mtls::cluster_name",
                presented.join(", ")
            ),
            Self::NoName => f.write_str(
                "the peer's certificate has no DNS or URI subject alternative name; issue one with the peer's name",
            ),
            Self::NoCertificate => {
                f.write_str("the peer presented no certificate; configure mTLS there too")
            }
            Self::WrongPurpose => f.write_str(
                "the peer's certificate is not for both serverAuth and clientAuth; issue it with extendedKeyUsage serverAuth,clientAuth",
            ),
            Self::BadCertificate(what) => write!(f, "the peer's certificate is not usable: {what}"),
            Self::KeyNotPinned { key } => write!(
                f,
                "the peer's key {key} is not pinned; if it is a peer of yours, add this line to the list"
            ),
            Self::WrongSharedKey => f.write_str(
                "the peer does not know the shared key; give both sides the same, and during a change let both accept the old one",
            ),
            Self::Refused(verdict) => write!(f, "the peer refused this side: {verdict}"),
            Self::Tls(what) => write!(f, "TLS failed: {what}"),
        }
    }
}

impl std::error::Error for HandshakeFailure {}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAuthenticated => {
                "it could not authenticate this side; compare keys and certificates, its log says more"
            }
            Self::CertificateDates => {
                "by its clock this side's certificate has expired or is not valid yet; renew it, and compare the clocks"
            }
            Self::UnknownIssuer => {
                "this side's certificate is not signed by a certificate authority it knows; give both sides the same CA file"
            }
            Self::BadCertificate => {
                "this side's certificate does not satisfy it; its log says why"
            }
            Self::NoCertificate => "it wants a certificate; configure mTLS on this side too",
            Self::KeyNotPinned => {
                "this side's key is not in its list; add this side's fingerprint there"
            }
            Self::Version => "it does not speak this side's version; upgrade the older one",
            Self::OtherMode => {
                "it authenticates in another way; configure the same security mode on both sides"
            }
            Self::TooManyLinks => "it has as many links as links_max and links_per_peer allow",
            Self::ShuttingDown => "it is shutting down",
            Self::Other(what) => return write!(f, "{what}"),
        })
    }
}

impl From<io::Error> for HandshakeFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A peer that refuses and leaves may reset what is under way.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Self::Closed,
            kind => Self::Io {
                kind,
                text: error.to_string(),
            },
        }
    }
}

impl HandshakeFailure {
    /// What a TLS error means in the mode of this side.
    pub(crate) fn from_tls(error: rustls::Error, ours: Mode) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(error) => Self::from_certificate(error),
            E::NoCertificatesPresented => Self::NoCertificate,
            E::NoApplicationProtocol => Self::OtherMode { ours },
            E::PeerIncompatible(
                PeerIncompatible::IncorrectCertificateTypeExtension
                | PeerIncompatible::UnsolicitedCertificateTypeExtension,
            ) => Self::OtherMode { ours },
            E::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls12NotOffered,
            )
            | E::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => Self::TlsVersion,
            E::InvalidMessage(InvalidMessage::InvalidContentType) => Self::SpokePlain,
            E::AlertReceived(alert) => Self::from_alert(alert, ours),
            other => Self::Tls(other.to_string()),
        }
    }

    fn from_certificate(error: CertificateError) -> Self {
        let at = |time: rustls::pki_types::UnixTime| {
            UNIX_EPOCH
                .checked_add(Duration::from_secs(time.as_secs()))
                .unwrap_or(UNIX_EPOCH)
        };
        match error {
            CertificateError::ExpiredContext { not_after, .. } => Self::CertificateExpired {
                not_after: at(not_after),
            },
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::CertificateNotYetValid {
                    not_before: at(not_before),
                }
            }
            // A certificate of another authority of the same name fails by its signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented,
            },
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongPurpose
            }
            CertificateError::Other(other) => match other.0.downcast_ref::<NotPinned>() {
                Some(NotPinned(key)) => Self::KeyNotPinned { key: *key },
                None => Self::BadCertificate(other.to_string()),
            },
            other => Self::BadCertificate(other.to_string()),
        }
    }

    fn from_alert(alert: AlertDescription, ours: Mode) -> Self {
        use AlertDescription as A;
        Self::Refused(match alert {
            A::CertificateExpired => Verdict::CertificateDates,
            A::UnknownCA | A::DecryptError => Verdict::UnknownIssuer,
            A::CertificateUnknown if ours == Mode::PinnedKeys => Verdict::KeyNotPinned,
            A::CertificateRequired => Verdict::NoCertificate,
            A::BadCertificate
            | A::CertificateUnknown
            | A::CertificateRevoked
            | A::UnsupportedCertificate => Verdict::BadCertificate,
            A::NoApplicationProtocol | A::HandshakeFailure => Verdict::OtherMode,
            A::ProtocolVersion => Verdict::Version,
            other => Verdict::Other(format!("TLS alert {other:?}")),
        })
    }
}

/// A time as people compare it with a certificate's.
pub(crate) struct Utc(pub(crate) SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match self.0.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs(),
            Err(_) => return f.write_str("before 1970"),
        };
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
            rest / 3600,
            rest / 60 % 60,
            rest % 60
        )
    }
}

/// The date of a day since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| Utc(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(at(4_102_444_799), "2099-12-31 23:59:59 UTC");
    }
}
