// SPDX-License-Identifier: MIT
//! What can be said about a router's conduct: single reports, and the standing that follows from them.

/// How far we trust a router with our tunnels; later variants are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tier {
    /// Most of what we asked of it lately failed.
    Failing,
    /// Not tried yet, or neither good nor bad.
    #[default]
    Standard,
    /// Accepts tunnels at least as readily as the median.
    HighCapacity,
    /// High capacity, and at least as quick as the median of those.
    Fast,
}

/// One thing that happened between us and a router.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// It agreed to be a hop.
    BuildAgreed,
    /// It refused to be a hop (any nonzero code).
    BuildRejected,
    /// A build with it as one of `hops` hops brought no answer; the blame is shared.
    BuildTimedOut {
        /// Number of hops among which the blame is shared.
        hops: u8,
    },
    /// A test of a tunnel through it came back after `rtt_ms`, its share of the way.
    TestPassed {
        /// Round trip divided by the number of hops, in milliseconds.
        rtt_ms: u32,
    },
    /// A test of a tunnel with `hops` hops through it was lost.
    TestFailed {
        /// Number of hops among which the blame is shared.
        hops: u8,
    },
    /// No transport connection could be made.
    DialFailed,
    /// A transport connection is up.
    Connected,
    /// It answered a database lookup or store after `rtt_ms`.
    LookupAnswered {
        /// Time to the answer, in milliseconds.
        rtt_ms: u32,
    },
    /// It did not answer a database lookup or store in time.
    LookupSilent,
    /// A tunnel through it carried this much in its best minute.
    Carried {
        /// Kilobytes a second.
        kbps: u32,
    },
}

/// What a [`Report`] history amounts to right now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Tier among all profiles.
    pub tier: Tier,
    /// Expected willingness to carry tunnels; 0.5 for the unknown, larger is better.
    pub capacity: f32,
    /// Quickness; larger is better, 0 when never measured.
    pub speed: f32,
    /// Wall-clock time until which it should not be asked for tunnels (it refused or lost one just now).
    pub rest_until_ms: u64,
    /// Wall-clock time until which dialling it is known to be useless.
    pub unreachable_until_ms: u64,
    /// Whether we ever had a connection or an answer of it.
    pub contacted: bool,
    /// Share of our database requests that it answered; 0.5 for the unknown.
    pub answers: f32,
}

impl Default for Standing {
    /// A router of which we know nothing.
    fn default() -> Self {
        Self {
            tier: Tier::Standard,
            capacity: 0.5,
            speed: 0.0,
            rest_until_ms: 0,
            unreachable_until_ms: 0,
            contacted: false,
            answers: 0.5,
        }
    }
}
