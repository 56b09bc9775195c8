// SPDX-License-Identifier: MIT
//! The bandwidth options of build records (API 0.9.65): what a creator wishes of us and what we promise.
//!
//! `m` is the least that it needs, `r` what it would like, `l` the most that it will send, in KB a second; `l` comes to
//! the gateway of an inbound tunnel, which holds it to that. A wish for more than we have left is refused with code 30.
//! A promise is rounded down, so that it tells little about us. Spec: proposal 168.

use crate::wire::Mapping;

/// Most that we promise to one tunnel, in KB a second.
const PROMISE_MAX: u32 = 1_000;
/// Larger wishes are no numbers.
const WISH_MAX: u32 = 4_000_000;

/// What a record wishes, in KB a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    least: Option<u32>,
    wanted: Option<u32>,
    most: Option<u32>,
}

/// What becomes of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// For the reply, if anything was wished.
    pub(super) promise: Option<u32>,
    /// Bytes a second that the tunnel is held to.
    pub(super) rate: Option<u32>,
}

impl Wish {
    /// What cannot be read counts as not there.
    pub(super) fn read(options: &Mapping) -> Self {
        let number = |key| options.get(key)?.parse::<u32>().ok().filter(|n| (1..=WISH_MAX).contains(n));
        Self { least: number("m"), wanted: number("r"), most: number("l") }
    }

    /// What we can do with `left` KB a second (`None`: no limit); `None` is a refusal.
    pub(super) fn grant(self, left: Option<u32>) -> Option<Grant> {
        let have = left.map_or(PROMISE_MAX, |left| left.min(PROMISE_MAX));
        if self.least.is_some_and(|least| least > have) {
            return None;
        }
        let asked = self.wanted.or(self.least);
        let promise = asked.map(|asked| rounded(asked.min(have)).max(self.least.unwrap_or(0)));
        Some(Grant { promise, rate: self.most.map(|most| most.saturating_mul(1_000)) })
    }
}

impl Grant {
    /// The options of the reply.
    pub(super) fn options(self) -> Mapping {
        let mut options = Mapping::new();
        if let Some(promise) = self.promise {
            options.set("b", &promise.to_string());
        }
        options
    }
}

/// Down to a number with one bit, or one and a half of it.
const fn rounded(kbs: u32) -> u32 {
    let Some(log) = kbs.checked_ilog2() else { return 0 };
    let power = 1 << log;
    let half = power + power / 2;
    if kbs >= half { half } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, &str)]) -> Wish {
        let mut options = Mapping::new();
        pairs.iter().for_each(|(key, value)| options.set(key, value));
        Wish::read(&options)
    }

    #[test]
    fn t6_a_wish_is_granted_up_to_what_is_left_and_refused_one_past_it() {
        let granted = |least: &str, left| wish(&[("m", least)]).grant(left).map(|g| g.promise);
        assert_eq!(granted("40", Some(40)), Some(Some(40)));
        assert_eq!(granted("41", Some(40)), None);
        assert_eq!(granted("1000", None), Some(Some(1_000)));
        assert_eq!(granted("1001", None), None);
    }

    #[test]
    fn t6_promises_are_rounded_and_never_below_the_least() {
        let promise = |pairs: &[(&str, &str)], left| wish(pairs).grant(left).unwrap().promise;
        assert_eq!(promise(&[("r", "100")], None), Some(96));
        assert_eq!(promise(&[("r", "100"), ("m", "99")], None), Some(99));
        assert_eq!(promise(&[("r", "100")], Some(20)), Some(16));
        assert_eq!(promise(&[("r", "100")], Some(0)), Some(0));
        assert_eq!(promise(&[], Some(5)), None, "nothing asked, nothing said");
    }

    #[test]
    fn t6_a_gateway_is_held_to_the_most_that_its_creator_sends() {
        assert_eq!(wish(&[("l", "50")]).grant(None).unwrap(), Grant { promise: None, rate: Some(50_000) });
        for nonsense in ["0", "-1", "x", "4000001", "99999999999"] {
            assert_eq!(wish(&[("l", nonsense), ("m", nonsense)]), Wish::default(), "{nonsense}");
        }
    }
}
