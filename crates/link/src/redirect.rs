use amqp10_codec::{Error, ErrorCondition, Str, Value};

/// Where a container or terminus is to be found instead, as the error of a close or detach says. §2.8.16, §2.8.18
///
/// A peer may leave out any of it; what is there and has another type than the specification gives it counts as left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The name for the open, for SASL and for TLS.
    pub hostname: Option<Str<'static>>,
    /// The name or address of the machine to connect to.
    pub network_host: Option<Str<'static>>,
    /// The port to connect to.
    pub port: Option<u16>,
    /// The address of the terminus there; only of links.
    pub address: Option<Str<'static>>,
}

impl Redirect {
    /// What `amqp:connection:redirect` or `amqp:link:redirect` tells; `None` for any other error.
    pub fn of(error: &Error<'_>) -> Option<Self> {
        if ![ErrorCondition::CONNECTION_REDIRECT, ErrorCondition::LINK_REDIRECT].contains(&error.condition) {
            return None;
        }
        let entry = |key| error.info.as_ref().and_then(|info| info.get(key).ok().flatten());
        Some(Self {
            hostname: entry("hostname").and_then(text),
            network_host: entry("network-host").and_then(text),
            port: entry("port").and_then(port),
            address: entry("address").and_then(text).filter(|_| error.condition == ErrorCondition::LINK_REDIRECT),
        })
    }
}

fn text(value: Value<'_>) -> Option<Str<'static>> {
    match value {
        Value::String(text) => Some(text.to_string().into()),
        Value::Symbol(text) => Some(text.as_str().to_owned().into()),
        _ => None,
    }
}

/// The type of a port is not said; senders write what their language has for a number.
fn port(value: Value<'_>) -> Option<u16> {
    match value {
        Value::Ubyte(port) => Some(port.into()),
        Value::Ushort(port) => Some(port),
        Value::Uint(port) => port.try_into().ok(),
        Value::Ulong(port) => port.try_into().ok(),
        Value::Short(port) => port.try_into().ok(),
        Value::Int(port) => port.try_into().ok(),
        Value::Long(port) => port.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use amqp10_codec::{Fields, Symbol};

    use super::*;

    fn error(condition: ErrorCondition<'static>, info: Option<Fields<'static>>) -> Error<'static> {
        Error { info, ..Error::new(condition, "elsewhere") }
    }

    fn key(name: &'static str) -> Symbol<'static> {
        Symbol::new(name).unwrap()
    }

    #[test]
    fn redirects_of_connections_and_links() {
        // 2.8.16-03, 2.8.18-04
        let info = Fields::new()
            .with(key("hostname"), "b.example")
            .with(key("network-host"), "10.0.0.2")
            .with(key("port"), 5671_u16)
            .with(key("address"), "queue");
        let found = |condition| Redirect::of(&error(condition, Some(info.clone())));
        let there = Redirect {
            hostname: Some("b.example".into()),
            network_host: Some("10.0.0.2".into()),
            port: Some(5671),
            address: None,
        };
        assert_eq!(found(ErrorCondition::CONNECTION_REDIRECT), Some(there.clone()));
        let link = Redirect { address: Some("queue".into()), ..there };
        assert_eq!(found(ErrorCondition::LINK_REDIRECT), Some(link));
        assert_eq!(found(ErrorCondition::STOLEN), None);
    }

    #[test]
    fn redirects_that_say_little_or_nonsense() {
        // 2.8.18-04
        let found = |info| Redirect::of(&error(ErrorCondition::LINK_REDIRECT, info));
        assert_eq!(found(None), Some(Redirect::default()));
        assert_eq!(found(Some(Fields::new())), Some(Redirect::default()));
        let port_alone = |port| Redirect { port, ..Redirect::default() };
        assert_eq!(found(Some(Fields::new().with(key("port"), 5672_i32))), Some(port_alone(Some(5672))));
        assert_eq!(found(Some(Fields::new().with(key("port"), 70_000_u32))), Some(port_alone(None)));
        assert_eq!(found(Some(Fields::new().with(key("port"), -1_i64))), Some(port_alone(None)));
        let wrong = Fields::new().with(key("hostname"), 1_u8).with(key("port"), "5672").with(key("network-host"), true);
        assert_eq!(found(Some(wrong)), Some(Redirect::default()));
    }
}
