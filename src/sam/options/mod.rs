// SPDX-License-Identifier: MIT
//! `SESSION CREATE` to a typed session configuration.
//!
//! The rule for options of the router: understood ones are clamped into their range, unreadable and unknown ones are
//! ignored, because clients send what other routers know. Options of SAM itself are checked and refused.
//! Spec: SAMv3 `SESSION CREATE`, I2CP "Client Options".

mod datagrams;
mod encrypted;
mod subsession;

pub use datagrams::DatagramOptions;
pub(super) use datagrams::{PROTOCOL_RAW, raw_protocol};
pub use encrypted::EncryptedOptions;
pub use subsession::AddRequest;

use std::time::Duration;

use super::command::{connect_timeout_ms, port};
use super::keys::PrivateKeys;
use super::parse::Params;

/// Longest that a session waits for its client to come back.
const LINGER_MAX_S: u64 = 3600;
/// Longest session ID.
const ID_MAX: usize = 255;

/// What a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Streams.
    Stream,
    /// Signed datagrams, format 1.
    Datagram,
    /// Signed datagrams, format 2.
    Datagram2,
    /// Datagrams with the sender's hash.
    Datagram3,
    /// Bare datagrams.
    Raw,
    /// A session that only carries subsessions.
    Primary,
}

impl Style {
    /// From the word on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "STREAM" => Self::Stream,
            "DATAGRAM" | "DATAGRAM1" => Self::Datagram,
            "DATAGRAM2" => Self::Datagram2,
            "DATAGRAM3" => Self::Datagram3,
            "RAW" => Self::Raw,
            "PRIMARY" | "MASTER" => Self::Primary,
            _ => return None,
        })
    }

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stream => "STREAM",
            Self::Datagram => "DATAGRAM",
            Self::Datagram2 => "DATAGRAM2",
            Self::Datagram3 => "DATAGRAM3",
            Self::Raw => "RAW",
            Self::Primary => "PRIMARY",
        }
    }

    /// Whether it carries datagrams, in any format.
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::Datagram | Self::Datagram2 | Self::Datagram3 | Self::Raw)
    }

    /// The most bytes that a client may send in one datagram.
    pub const fn payload_max(self) -> usize {
        match self {
            Self::Raw => 32_768,
            _ => 31_744,
        }
    }
}

/// `SESSION CREATE` as far as the line alone can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// Kind of session.
    pub style: Style,
    /// Its name among all sessions of the server.
    pub id: String,
    /// Signature type for new keys, as written. Meaningless when keys are given.
    pub signature_type: Option<String>,
    /// Default of our port.
    pub from_port: u16,
    /// Default of the peer's port.
    pub to_port: u16,
    /// Default of how long a peer may take to answer a connect, in milliseconds.
    pub connect_timeout_ms: Option<u32>,
    /// Datagrams.
    pub datagrams: DatagramOptions,
}

impl CreateRequest {
    /// Reads the SAM options. The destination stays in `params`, so that keys are copied no more than needed.
    ///
    /// # Errors
    /// The text for `MESSAGE`.
    pub fn new(params: &Params) -> Result<Self, String> {
        let style = style(params)?;
        let id = id(params)?;
        if params.filled("DESTINATION").is_none() {
            return Err("DESTINATION not specified; TRANSIENT makes new keys".to_owned());
        }
        Self::of(style, id, params)
    }

    /// What sessions and subsessions have in common.
    fn of(style: Style, id: String, params: &Params) -> Result<Self, String> {
        let datagrams = DatagramOptions::new(style, params)?;
        Ok(Self {
            style,
            id,
            signature_type: params.filled("SIGNATURE_TYPE").map(str::to_owned),
            from_port: port(params, "FROM_PORT")?.unwrap_or(0),
            to_port: port(params, "TO_PORT")?.unwrap_or(0),
            connect_timeout_ms: connect_timeout_ms(params),
            datagrams,
        })
    }
}

fn style(params: &Params) -> Result<Style, String> {
    match params.filled("STYLE") {
        None => Err("No SESSION STYLE specified, e.g. STYLE=STREAM".to_owned()),
        Some(word) => Style::from_word(word).ok_or_else(|| format!("Unrecognized SESSION STYLE {word}")),
    }
}

fn id(params: &Params) -> Result<String, String> {
    let id = params.filled("ID").ok_or("ID not specified")?;
    if id.len() > ID_MAX || id.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("ID must have 1 to {ID_MAX} characters without blanks"));
    }
    Ok(id.to_owned())
}

/// Everything the router needs to know to open a session.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The session's ID, for logs.
    pub name: String,
    /// What it carries.
    pub style: Style,
    /// Its keys.
    pub keys: PrivateKeys,
    /// Tunnels towards us.
    pub inbound: TunnelOptions,
    /// Tunnels away from us.
    pub outbound: TunnelOptions,
    /// The lease set.
    pub lease_set: LeaseSetOptions,
    /// Streams.
    pub streaming: StreamingOptions,
    /// What happens when nothing happens.
    pub idle: IdleOptions,
    /// `samovar.linger`: how long the session waits, tunnels and all, for its client to come back; at most an hour.
    /// `None` leaves the choice to the server.
    pub linger: Option<Duration>,
}

impl SessionConfig {
    /// Reads the router's options of a `SESSION CREATE` line.
    pub fn new(name: &str, style: Style, keys: PrivateKeys, params: &Params) -> Self {
        let mut lease_set = LeaseSetOptions::new(params);
        // Its subsessions are to be found, whatever they are.
        lease_set.publish |= style == Style::Primary;
        Self {
            name: name.to_owned(),
            style,
            keys,
            inbound: TunnelOptions::new(params, "inbound"),
            outbound: TunnelOptions::new(params, "outbound"),
            lease_set,
            streaming: StreamingOptions::new(params),
            idle: IdleOptions::new(params),
            linger: params
                .get("samovar.linger")
                .and_then(|text| text.parse().ok())
                .map(|seconds: u64| Duration::from_secs(seconds.min(LINGER_MAX_S))),
        }
    }

    /// A session with the options that hold when the client says nothing.
    pub fn plain(name: &str, style: Style, keys: PrivateKeys) -> Self {
        Self::new(name, style, keys, &Params::default())
    }

    /// Whether a session that runs with these settings is what `wanted` asks for, but for what can be changed while it
    /// runs: name, style, streams.
    pub fn fits(&self, wanted: &Self) -> bool {
        self.inbound.same_tunnels(&wanted.inbound)
            && self.outbound.same_tunnels(&wanted.outbound)
            && self.lease_set == wanted.lease_set
    }
}

/// Tunnels in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelOptions {
    /// Hops, 0-7. Default 3.
    pub length: u8,
    /// Random change of the length, -7 to 7: positive adds up to so many, negative changes either way. Default 0.
    pub variance: i8,
    /// Tunnels, 1-16. Default 2.
    pub quantity: u8,
    /// Spare tunnels, 0-15. Default 0.
    pub backup: u8,
    /// Whether a tunnel without hops may stand in. Default false, and true when the length is 0.
    pub allow_zero_hop: bool,
    /// A name for logs.
    pub nickname: Option<String>,
}

impl Default for TunnelOptions {
    fn default() -> Self {
        Self { length: 3, variance: 0, quantity: 2, backup: 0, allow_zero_hop: false, nickname: None }
    }
}

impl TunnelOptions {
    /// Whether both ask for the same tunnels, whatever they call them.
    fn same_tunnels(&self, other: &Self) -> bool {
        let Self { length, variance, quantity, backup, allow_zero_hop, nickname: _ } = other;
        (self.length, self.variance, self.quantity, self.backup, self.allow_zero_hop)
            == (*length, *variance, *quantity, *backup, *allow_zero_hop)
    }

    fn new(params: &Params, direction: &str) -> Self {
        let default = Self::default();
        let number = |name: &str, low: i64, high: i64, default: i64| {
            let key = format!("{direction}.{name}");
            params.get(&key).and_then(|text| text.parse::<i64>().ok()).map_or(default, |n| n.clamp(low, high))
        };
        let small = |n: i64| u8::try_from(n).unwrap_or(0);
        let length = small(number("length", 0, 7, default.length.into()));
        Self {
            length,
            variance: i8::try_from(number("lengthVariance", -7, 7, 0)).unwrap_or(0),
            quantity: small(number("quantity", 1, 16, default.quantity.into())),
            backup: small(number("backupQuantity", 0, 15, 0)),
            allow_zero_hop: length == 0
                || flag(params, &format!("{direction}.allowZeroHop")).unwrap_or(false),
            nickname: params
                .filled(&format!("{direction}.nickname"))
                .or_else(|| params.filled(&format!("{direction}.name")))
                .map(|name| name.chars().take(64).collect()),
        }
    }
}

/// The lease set of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSetOptions {
    /// Encryption types, preferred first; only those that we speak. Never empty.
    pub encryption: Vec<u16>,
    /// Whether it goes to the netDb. A pure client may keep it to itself.
    pub publish: bool,
    /// Whether a copy goes along with messages to new peers.
    pub bundle: bool,
    /// `i2cp.leaseSetOption.N=key=value` in the order of N: service records and the like.
    pub options: Vec<(String, String)>,
    /// Encrypted lease sets: our own and those of others.
    pub encrypted: EncryptedOptions,
}

/// ECIES-X25519, the one encryption type of destinations here.
pub const ENCRYPTION_X25519: u16 = 4;

impl LeaseSetOptions {
    fn new(params: &Params) -> Self {
        let listed = params.get("i2cp.leaseSetEncType").unwrap_or_default();
        let mut encryption: Vec<u16> = listed
            .split(',')
            .filter_map(|word| match word.trim() {
                word if word.eq_ignore_ascii_case("ECIES_X25519") => Some(ENCRYPTION_X25519),
                word => word.parse().ok(),
            })
            .filter(|code| *code == ENCRYPTION_X25519)
            .take(1)
            .collect();
        if encryption.is_empty() {
            encryption.push(ENCRYPTION_X25519);
        }
        Self {
            encryption,
            publish: !flag(params, "i2cp.dontPublishLeaseSet").unwrap_or(false),
            bundle: flag(params, "shouldBundleReplyInfo").unwrap_or(true),
            options: lease_set_options(params),
            // Those that cannot be read have been refused before.
            encrypted: EncryptedOptions::new(params).unwrap_or_default(),
        }
    }

    /// Whether the client named encryption types of which we speak none. Such a session is refused: with another type
    /// than asked for, the peers that it is meant for could not reach it.
    pub fn nothing_known(params: &Params) -> bool {
        let known = |word: &str| word == "4" || word.eq_ignore_ascii_case("ECIES_X25519");
        params
            .filled("i2cp.leaseSetEncType")
            .is_some_and(|list| !list.split(',').any(|word| known(word.trim())))
    }
}

/// The numbered options, without those that are no pair.
fn lease_set_options(params: &Params) -> Vec<(String, String)> {
    let numbered = params.iter().filter_map(|(name, text)| {
        let number: u16 = name.strip_prefix("i2cp.leaseSetOption.")?.parse().ok()?;
        let (key, value) = text.split_once('=')?;
        Some((number, key.to_owned(), value.to_owned()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    numbered.into_iter().map(|(_, key, value)| (key, value)).collect()
}

/// Streams of a session. `None` leaves the choice to the router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamingOptions {
    /// Compress payloads; `Some(false)` never does.
    pub gzip: Option<bool>,
    /// 1 bulk, 2 interactive.
    pub profile: Option<u8>,
    /// Most packets in flight, 1-512.
    pub window_max: Option<u16>,
    /// Packets in flight at first, 1-64.
    pub window_initial: Option<u16>,
    /// Largest payload of a packet, 512-32768.
    pub message_size_max: Option<u16>,
    /// Sendings of one packet before giving up, 1-30.
    pub resends_max: Option<u8>,
    /// First retransmission timeout in milliseconds, 100-60000.
    pub rto_initial_ms: Option<u32>,
    /// How long a connect may take in milliseconds, 1000-75000.
    pub connect_timeout_ms: Option<u32>,
    /// Silence in milliseconds after which a stream is probed or ended; 0 turns it off.
    pub inactivity_timeout_ms: Option<u32>,
    /// Whether pings of peers are answered.
    pub answer_pings: Option<bool>,
    /// Most streams at once.
    pub concurrent_max: Option<u32>,
    /// Streams that one peer may open in a minute, an hour, a day; 0: any number.
    pub conns_max: [u32; 3],
    /// The same for all peers together.
    pub total_conns_max: [u32; 3],
    /// Streams beyond these are dropped without an answer.
    pub limit_drops: bool,
}

impl StreamingOptions {
    fn new(params: &Params) -> Self {
        let number = |name: &str, low: u32, high: u32| {
            let text = params.get(&format!("i2p.streaming.{name}"))?;
            text.parse::<i64>().ok().map(|n| u32::try_from(n.max(0)).unwrap_or(u32::MAX).clamp(low, high))
        };
        // Here, too, zero and less are no limit.
        let periods = |name: &str| {
            ["Minute", "Hour", "Day"]
                .map(|period| number(&format!("{name}{period}"), 0, u32::MAX).unwrap_or(0))
        };
        let word = |name: &str, low: u16, high: u16| {
            number(name, low.into(), high.into()).and_then(|n| u16::try_from(n).ok())
        };
        Self {
            gzip: flag(params, "i2cp.gzip"),
            profile: word("profile", 1, 2).and_then(|n| u8::try_from(n).ok()),
            window_max: word("maxWindowSize", 1, 512),
            window_initial: word("initialWindowSize", 1, 64),
            message_size_max: word("maxMessageSize", 512, 32_768),
            resends_max: word("maxResends", 1, 30).and_then(|n| u8::try_from(n).ok()),
            rto_initial_ms: number("initialRTO", 100, 60_000),
            connect_timeout_ms: connect_timeout_ms(params),
            inactivity_timeout_ms: number("inactivityTimeout", 0, u32::MAX),
            answer_pings: flag(params, "i2p.streaming.answerPings"),
            // Zero and less mean "no limit of the client's own".
            concurrent_max: number("maxConcurrentStreams", 0, u32::MAX).filter(|n| *n > 0),
            conns_max: periods("maxConnsPer"),
            total_conns_max: periods("maxTotalConnsPer"),
            limit_drops: params.get("i2p.streaming.limitAction") == Some("drop"),
        }
    }
}

/// What happens to an idle session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleOptions {
    /// After this many milliseconds without traffic only so many tunnels are kept.
    pub reduce: Option<(u32, u8)>,
    /// After this many milliseconds without traffic the tunnels are given up until they are needed.
    pub close_ms: Option<u32>,
}

impl IdleOptions {
    fn new(params: &Params) -> Self {
        let number = |key: &str, low: u32, default: u32| {
            params.get(key).and_then(|text| text.parse().ok()).map_or(default, |n: u32| n.max(low))
        };
        let on = |key| flag(params, key).unwrap_or(false);
        let quantity = number("i2cp.reduceQuantity", 1, 1).min(16);
        let reduce_ms = number("i2cp.reduceIdleTime", 300_000, 1_200_000);
        Self {
            reduce: on("i2cp.reduceOnIdle").then(|| (reduce_ms, u8::try_from(quantity).unwrap_or(1))),
            close_ms: on("i2cp.closeOnIdle").then(|| number("i2cp.closeIdleTime", 300_000, 1_800_000)),
        }
    }
}

/// A boolean of the router: `true` in any case or `1`; anything else that is there is false.
fn flag(params: &Params, key: &str) -> Option<bool> {
    params.get(key).map(|text| text.eq_ignore_ascii_case("true") || text == "1")
}

#[cfg(test)]
mod tests;
