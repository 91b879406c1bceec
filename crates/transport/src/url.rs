use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::Secret;

/// Whether a URL asks for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `amqp`: clear text, port 5672.
    Amqp,
    /// `amqps`: TLS from the first octet, port 5671.
    Amqps,
}

impl Scheme {
    /// The port if a URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Amqp => 5672,
            Self::Amqps => 5671,
        }
    }
}

/// Where to connect: `amqp[s]://[user[:password]@]host[:port][/address]`.
///
/// User, password and address are percent-decoded; characters such as `|`, `,`, `=`, `+` and `/` in them have to be encoded.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Url {
    /// Whether TLS is asked for.
    pub scheme: Scheme,
    /// The host: a DNS name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// The port, that of the scheme if none was named.
    pub port: u16,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// What follows the slash behind the host, without it: an address, if any.
    pub address: Option<String>,
}

/// Why a text is not a URL to connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `://`.
    #[error("a URL begins with amqp:// or amqps://")]
    NoScheme,
    /// The scheme is neither `amqp` nor `amqps`.
    #[error("the scheme {0:?} is not known: use amqp (clear text) or amqps (TLS)")]
    UnknownScheme(String),
    /// There is no host.
    #[error("the URL names no host: write amqps://HOST or amqps://HOST:PORT")]
    EmptyHost,
    /// The host in brackets is no IPv6 address.
    #[error("{0:?} is not an IPv6 address: write amqps://[2001:db8::1]:5671")]
    InvalidIpv6(String),
    /// An IPv6 address without brackets, or a stray colon.
    #[error("the host {0:?} holds a colon: put an IPv6 address in brackets")]
    ColonInHost(String),
    /// The port is no number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    InvalidPort(String),
    /// An encoded part is not UTF-8 or badly encoded.
    #[error("the {0} is not valid percent-encoded UTF-8")]
    InvalidEncoding(&'static str),
    /// What stands before the first slash is no host, and a login follows it.
    #[error("user and password hold a character that has to be percent-encoded, such as '/' as %2F")]
    UnencodedLogin,
    /// A query or fragment, which mean nothing here.
    #[error("a URL for AMQP has neither query nor fragment: encode '?' as %3F and '#' as %23")]
    QueryOrFragment,
}

fn decode(text: &str, what: &'static str) -> Result<String, UrlError> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|octet| *octet == b'%') {
        let digits = rest.get(at.saturating_add(1)..at.saturating_add(3));
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(UrlError::InvalidEncoding(what));
        }
        rest = rest.get(at.saturating_add(3)..).unwrap_or(&[]);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| UrlError::InvalidEncoding(what))?;
    Ok(decoded.into_owned())
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "amqp" => Scheme::Amqp,
            "amqps" => Scheme::Amqps,
            // Anything else may be a login, and is not repeated.
            known if known.bytes().all(|octet| octet.is_ascii_alphanumeric()) => {
                return Err(UrlError::UnknownScheme(scheme.to_owned()));
            }
            _ => return Err(UrlError::NoScheme),
        };
        if rest.contains(['?', '#']) {
            return Err(UrlError::QueryOrFragment);
        }
        let (authority, address) = match rest.split_once('/') {
            Some((authority, address)) => (authority, Some(address)),
            None => (rest, None),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => {
                let given = login.is_some_and(|login| login.contains(':'));
                let password = given.then(|| decode(password, "password")).transpose()?;
                (Some(decode(user, "user")?), password.map(Secret::from))
            }
            None => (None, None),
        };
        let found = split_host(place, scheme);
        if found.is_err() && login.is_none() && address.is_some_and(|address| address.contains('@')) {
            // What does not look like a host is part of a login then, and is not repeated.
            return Err(UrlError::UnencodedLogin);
        }
        let (host, port) = found?;
        let address = address.filter(|address| !address.is_empty()).map(|address| decode(address, "address"));
        Ok(Self { scheme, host, port, user, password, address: address.transpose()? })
    }
}

fn split_host(place: &str, scheme: Scheme) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(|| UrlError::InvalidIpv6(rest.to_owned()))?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::InvalidIpv6(host.to_owned()))?;
            match behind.strip_prefix(':') {
                None if !behind.is_empty() => return Err(UrlError::InvalidIpv6(place.to_owned())),
                port => (host.to_owned(), port),
            }
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(UrlError::ColonInHost(place.to_owned())),
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            if host.is_empty() {
                return Err(UrlError::EmptyHost);
            }
            (decode(host, "host")?, port)
        }
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::InvalidPort(port.to_owned()))?,
        None => scheme.default_port(),
    };
    Ok((host, port))
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user name may carry a token.
        write!(f, "Url({self})")
    }
}

impl fmt::Display for Url {
    /// The URL without user, password and address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn h34_percent_encoded_user_and_password() {
        let found = url("amqps://c1%7Ca%3Db%2Cc%7C:p%2B%2F%3D%40@host.example/queues/a%2Fb");
        assert_eq!(found.user.as_deref(), Some("c1|a=b,c|"));
        assert_eq!(found.password.as_ref().map(Secret::expose), Some("p+/=@"));
        assert_eq!(found.address.as_deref(), Some("queues/a/b"));
        assert_eq!(found.to_string(), "amqps://host.example:5671");
        for broken in ["amqp://%zz@h", "amqp://a:%4@h", "amqp://%ff@h"] {
            assert!(matches!(broken.parse::<Url>(), Err(UrlError::InvalidEncoding(_))), "{broken}");
        }
    }

    #[test]
    fn h32_a_url_shows_neither_user_nor_password() {
        let shown = format!("{:?}", url("amqps://token:hunter2@host.example/queue"));
        assert_eq!(shown, "Url(amqps://host.example:5671)");
        // Nor does an error that blames what was not encoded.
        for text in [
            "amqps://token:hunter2/x@host.example",
            "amqps://token:hunter2:hunter2/x@host.example",
            "amqps://[hunter2/x@host.example",
            "amqps://token:hunter2?x@host.example",
            "amqps://token:hunter2#x@host.example",
            "amqps://token:hunter2%x@host.example",
            "token:hunter2://x@host.example",
            "token:hunter2@host.example",
        ] {
            let error = text.parse::<Url>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("token"), "{shown}");
        }
        assert_eq!("amqps://u:p/x@h".parse::<Url>(), Err(UrlError::UnencodedLogin));
    }

    #[test]
    fn h34_ipv6() {
        let found = url("amqps://[::1]:7000");
        assert_eq!((found.host.as_str(), found.port), ("::1", 7000));
        assert_eq!(found.to_string(), "amqps://[::1]:7000");
        assert_eq!(url("amqp://[2001:db8::1]").port, 5672);
        assert_eq!("amqp://[nonsense]".parse::<Url>(), Err(UrlError::InvalidIpv6("nonsense".into())));
        assert_eq!("amqp://::1".parse::<Url>(), Err(UrlError::ColonInHost("::1".into())));
    }

    #[test]
    fn h34_default_ports() {
        // 2.8.19-01, 2.8.19-02
        assert_eq!((url("amqp://h").port, url("AMQPS://h").port, url("amqps://h:1").port), (5672, 5671, 1));
        for port in ["0", "65536", "x", ""] {
            let text = format!("amqp://h:{port}");
            assert_eq!(text.parse::<Url>(), Err(UrlError::InvalidPort(port.into())));
        }
    }

    #[test]
    fn h34_unknown_scheme() {
        assert_eq!("http://h".parse::<Url>(), Err(UrlError::UnknownScheme("http".into())));
        assert_eq!("host:5671".parse::<Url>(), Err(UrlError::NoScheme));
        assert_eq!("amqp://h?x=1".parse::<Url>(), Err(UrlError::QueryOrFragment));
    }

    #[test]
    fn h34_empty_host() {
        for text in ["amqps://", "amqps://:5671", "amqps://user@", "amqps:///queue"] {
            assert_eq!(text.parse::<Url>(), Err(UrlError::EmptyHost), "{text}");
        }
    }
}
