// SPDX-License-Identifier: MIT
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::base::{map, set};
use crate::netdb::ViewPolicy;
use crate::tunnel::build::testing::{Says, TestRouter, WALL_MS, router, routers, view};

/// What a test asks for, with everything else plain.
struct Ask {
    direction: Direction,
    length: usize,
    client: bool,
    careful: bool,
    pool_key: [u8; 32],
    usage: Map<RouterHash, usize>,
    tunnels: usize,
    explicit: Vec<RouterHash>,
    avoid: Set<RouterHash>,
}

impl Ask {
    fn new(rng: &mut Rng, direction: Direction, length: usize) -> Self {
        let (pool_key, usage, avoid) = (rng.bytes(), map(rng), set(rng));
        Self {
            direction,
            length,
            client: true,
            careful: false,
            pool_key,
            usage,
            tunnels: 0,
            explicit: Vec::new(),
            avoid,
        }
    }

    fn run(&self, view: &PeerView, policy: &SelectPolicy, rng: &mut Rng) -> Result<Vec<RouterHash>, NoHops> {
        let want = Want {
            direction: self.direction,
            length: self.length,
            pool_key: &self.pool_key,
            client: self.client,
            careful: self.careful,
            explicit: &self.explicit,
            usage: &self.usage,
            tunnels: self.tunnels,
            avoid: &self.avoid,
            wall_ms: WALL_MS,
        };
        select(view, policy, &want, rng).map(|hops| hops.iter().map(|h| h.hash).collect())
    }
}

fn host(n: usize) -> String {
    format!("{}.{}.{}.{}", 20 + n / 200, 1 + n % 200, 7, 9)
}

/// Routers of a live network, each in a subnet of its own unless `says` changes it.
fn live(rng: &mut Rng, count: usize, edit: impl Fn(usize, &mut Says)) -> Vec<TestRouter> {
    (0..count)
        .map(|n| {
            let mut says = Says { host: Some(host(n)), ..Says::default() };
            edit(n, &mut says);
            router(rng, &says)
        })
        .collect()
}

fn own(rng: &mut Rng) -> TestRouter {
    router(rng, &Says { host: Some("150.1.2.3".into()), ..Says::default() })
}

fn with(entries: &[TestRouter], own: &TestRouter, edit: impl Fn(usize, &mut PeerEntry)) -> PeerView {
    let edited = entries.iter().enumerate().map(|(at, r)| {
        let mut entry = (*r.entry).clone();
        edit(at, &mut entry);
        Arc::new(entry)
    });
    PeerView::new(edited.collect(), Some(own.entry.clone()), ViewPolicy::default(), 1)
}

#[test]
fn routers_that_must_not_be_hops_never_are() {
    let mut rng = Rng::from_seed(1);
    let me = own(&mut rng);
    let peers = live(&mut rng, 40, |n, says| match n % 8 {
        0 => says.caps = "HOR".into(),
        1 => says.caps = "ORG".into(),
        2 => says.version = "0.9.58".into(),
        3 => says.caps = "KR".into(),
        4 => says.caps = "R".into(),
        _ => {}
    });
    let view = view(&me, &peers);
    let allowed: Vec<RouterHash> =
        peers.iter().enumerate().filter(|(n, _)| n % 8 > 4).map(|(_, r)| r.keys.hash).collect();
    for _ in 0..300 {
        let direction = if rng.below(2) == 0 { Direction::Inbound } else { Direction::Outbound };
        let hops =
            Ask::new(&mut rng, direction, 3).run(&view, &SelectPolicy::default(), &mut rng).expect("found");
        assert!(hops.iter().all(|h| allowed.contains(h)));
    }
}

#[test]
fn crowded_and_tired_routers_serve_only_when_no_other_does() {
    let mut rng = Rng::from_seed(2);
    let me = own(&mut rng);
    let peers = live(&mut rng, 20, |n, says| {
        if n == 3 {
            says.caps = "ORE".into();
        }
    });
    let tired = with(&peers, &me, |n, entry| {
        if n < 3 {
            entry.standing.rest_until_ms = WALL_MS + 1;
        }
    });
    let avoided: Vec<RouterHash> = peers[..5].iter().map(|r| r.keys.hash).collect();
    for _ in 0..200 {
        let mut ask = Ask::new(&mut rng, Direction::Outbound, 3);
        ask.avoid.insert(peers[4].keys.hash);
        let hops = ask.run(&tired, &SelectPolicy::default(), &mut rng).expect("found");
        assert!(!hops.iter().any(|h| avoided.contains(h)));
    }
    let all_tired = with(&peers, &me, |_, entry| entry.standing.rest_until_ms = WALL_MS + 1);
    let ask = Ask::new(&mut rng, Direction::Outbound, 3);
    assert!(ask.run(&all_tired, &SelectPolicy::default(), &mut rng).is_ok());
}

#[test]
fn clients_get_the_fast_ones_once_there_are_enough() {
    let mut rng = Rng::from_seed(3);
    let me = own(&mut rng);
    let peers = live(&mut rng, 60, |_, _| {});
    let tiered = with(&peers, &me, |n, entry| {
        entry.standing.tier = match n {
            0..12 => Tier::Fast,
            12..30 => Tier::HighCapacity,
            58.. => Tier::Failing,
            _ => Tier::Standard,
        };
    });
    let (mut client, mut own_use) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for _ in 0..300 {
        let mut ask = Ask::new(&mut rng, Direction::Outbound, 3);
        client.extend(ask.run(&tiered, &SelectPolicy::default(), &mut rng).expect("found"));
        ask.client = false;
        own_use.extend(ask.run(&tiered, &SelectPolicy::default(), &mut rng).expect("found"));
    }
    let fast: std::collections::BTreeSet<RouterHash> = peers[..12].iter().map(|r| r.keys.hash).collect();
    assert_eq!(client, fast);
    assert_eq!(own_use.len(), 58, "the router's own tunnels try all but the failing");
}

#[test]
fn after_failures_a_few_proven_routers_beat_a_crowd_of_strangers() {
    let mut rng = Rng::from_seed(3);
    let me = own(&mut rng);
    let peers = live(&mut rng, 60, |_, _| {});
    let proven: Vec<RouterHash> = peers[..4].iter().map(|r| r.keys.hash).collect();
    let tiered = with(&peers, &me, |n, entry| {
        entry.standing.tier = match n {
            0..2 => Tier::Fast,
            2..4 => Tier::HighCapacity,
            _ => Tier::Standard,
        };
    });
    let mut strangers = [0, 0];
    for _ in 0..200 {
        for (n, careful) in [false, true].into_iter().enumerate() {
            let mut ask = Ask::new(&mut rng, Direction::Outbound, 2);
            ask.careful = careful;
            let hops = ask.run(&tiered, &SelectPolicy::default(), &mut rng).expect("found");
            strangers[n] += hops.iter().filter(|h| !proven.contains(h)).count();
        }
    }
    assert!(strangers[0] > 300, "usually everybody has a chance");
    assert_eq!(strangers[1], 0);
    // So do those who agreed after the tiers were last computed.
    let agreed = with(&peers, &me, |n, entry| {
        if n < 4 {
            entry.standing.capacity = 1.3;
        }
    });
    for _ in 0..100 {
        let mut ask = Ask::new(&mut rng, Direction::Inbound, 2);
        ask.careful = true;
        // Even if each of them is in most of our tunnels.
        ask.tunnels = 8;
        ask.usage.extend(proven.iter().map(|hash| (*hash, 5)));
        let hops = ask.run(&agreed, &SelectPolicy::default(), &mut rng).expect("found");
        assert!(hops.iter().all(|h| proven.contains(h)));
    }
    // Three hops want six proven routers; with four, strangers are asked as before.
    let mut ask = Ask::new(&mut rng, Direction::Outbound, 3);
    ask.careful = true;
    assert_eq!(ask.run(&tiered, &SelectPolicy::default(), &mut rng).expect("found").len(), 3);
}

#[test]
fn after_failures_routers_that_we_have_met_come_before_names() {
    let mut rng = Rng::from_seed(5);
    let me = own(&mut rng);
    let peers = live(&mut rng, 60, |_, _| {});
    let ask = |met: usize, lossy: usize, rng: &mut Rng| -> usize {
        let view = with(&peers, &me, |n, entry| {
            entry.standing.contacted = n < met;
            if n < lossy {
                entry.standing.capacity = 0.2;
            }
        });
        let known: Vec<RouterHash> = peers[..met].iter().map(|r| r.keys.hash).collect();
        let mut strangers = 0;
        for _ in 0..100 {
            let mut ask = Ask::new(rng, Direction::Inbound, 2);
            ask.careful = true;
            let hops = ask.run(&view, &SelectPolicy::default(), rng).expect("found");
            strangers += hops.iter().filter(|h| !known.contains(h)).count();
        }
        strangers
    };
    assert_eq!(ask(4, 0, &mut rng), 0);
    assert!(ask(3, 0, &mut rng) > 150, "three are too few to lean on");
    assert!(ask(5, 2, &mut rng) > 150, "and so are five of which two lose what they are given");
}

#[test]
fn ends_must_be_reachable_on_the_live_network() {
    let mut rng = Rng::from_seed(4);
    let me = own(&mut rng);
    // Half of them behind firewalls.
    let peers = live(&mut rng, 30, |n, says| {
        if n % 2 == 0 {
            (says.host, says.caps) = (None, "OU".into());
        }
    });
    let view = view(&me, &peers);
    let open: Vec<RouterHash> =
        peers.iter().filter(|r| r.entry.has_published_address()).map(|r| r.keys.hash).collect();
    for _ in 0..200 {
        let hops = Ask::new(&mut rng, Direction::Inbound, 2)
            .run(&view, &SelectPolicy::default(), &mut rng)
            .expect("in");
        assert!(open.contains(&hops[0]), "strangers must reach a gateway");
        let hops = Ask::new(&mut rng, Direction::Outbound, 3)
            .run(&view, &SelectPolicy::default(), &mut rng)
            .expect("out");
        assert!(hops.iter().all(|h| open.contains(h)), "each hop is dialled by the one before");
    }
}

#[test]
fn a_firewalled_router_uses_connected_last_hops() {
    let mut rng = Rng::from_seed(5);
    let me = router(&mut rng, &Says { host: None, caps: "OU".into(), ..Says::default() });
    let peers = live(&mut rng, 20, |_, _| {});
    let some = with(&peers, &me, |n, entry| entry.connected = n < 2);
    let connected: Vec<RouterHash> = peers[..2].iter().map(|r| r.keys.hash).collect();
    for _ in 0..50 {
        let hops = Ask::new(&mut rng, Direction::Inbound, 3)
            .run(&some, &SelectPolicy::default(), &mut rng)
            .expect("in");
        assert!(connected.contains(&hops[2]));
    }
    let none = with(&peers, &me, |_, _| {});
    let got = Ask::new(&mut rng, Direction::Inbound, 3).run(&none, &SelectPolicy::default(), &mut rng);
    assert_eq!(got, Err(NoHops::NoChain { usable: 20, wanted: 3 }));
}

#[test]
fn t9_order_within_a_pool_is_fixed_and_differs_between_pools() {
    let mut rng = Rng::from_seed(6);
    let me = own(&mut rng);
    let peers = live(&mut rng, 15, |_, _| {});
    let view = view(&me, &peers);
    let mut before: std::collections::BTreeSet<(RouterHash, RouterHash)> = Default::default();
    let ask_out = Ask::new(&mut rng, Direction::Outbound, 4);
    let ask_in = Ask {
        direction: Direction::Inbound,
        usage: map(&mut rng),
        explicit: Vec::new(),
        avoid: set(&mut rng),
        ..ask_out
    };
    let ask_out = Ask {
        direction: Direction::Outbound,
        usage: map(&mut rng),
        explicit: Vec::new(),
        avoid: set(&mut rng),
        ..ask_in
    };
    for _ in 0..400 {
        let mut out = ask_out.run(&view, &SelectPolicy::default(), &mut rng).expect("out");
        let mut back = ask_in.run(&view, &SelectPolicy::default(), &mut rng).expect("in");
        back.reverse();
        for hops in [&mut out, &mut back] {
            for (at, near) in hops.iter().enumerate() {
                before.extend(hops[at + 1..].iter().map(|far| (*near, *far)));
            }
        }
    }
    assert!(before.iter().all(|(a, b)| !before.contains(&(*b, *a))), "nobody is now nearer and now farther");
    assert_eq!(before.len(), 15 * 14 / 2);
    let other: [u8; 32] = rng.bytes();
    let differs = before.iter().any(|(a, b)| order_key(&other, a) > order_key(&other, b));
    assert!(differs);
}

#[test]
fn t9_nobody_gets_more_than_a_third_of_our_tunnels() {
    let mut rng = Rng::from_seed(7);
    let me = own(&mut rng);
    let peers = live(&mut rng, 30, |_, _| {});
    let view = view(&me, &peers);
    let mut ask = Ask::new(&mut rng, Direction::Outbound, 3);
    for _ in 0..60 {
        let hops = ask.run(&view, &SelectPolicy::default(), &mut rng).expect("found");
        ask.tunnels += 1;
        for hop in hops {
            *ask.usage.entry(hop).or_insert(0) += 1;
        }
        let limit = (ask.tunnels * 33 / 100).max(2);
        assert!(ask.usage.values().all(|used| *used <= limit), "{} tunnels", ask.tunnels);
    }
    ask.usage = map(&mut rng);
    ask.usage.extend(peers.iter().map(|p| (p.keys.hash, 60)));
    assert!(ask.run(&view, &SelectPolicy::default(), &mut rng).is_ok(), "better than no tunnel");
}

#[test]
fn small_networks_give_what_they_have() {
    let mut rng = Rng::from_seed(8);
    let peers = routers(&mut rng, 4);
    let me = &peers[0];
    let view = view(me, &peers);
    for direction in [Direction::Inbound, Direction::Outbound] {
        for length in 1..=7 {
            let ask = Ask::new(&mut rng, direction, length);
            let hops = ask.run(&view, &SelectPolicy::test_network(), &mut rng).expect("found");
            assert_eq!(hops.len(), length.min(3));
        }
        let ask = Ask::new(&mut rng, direction, 4);
        let strict = SelectPolicy { shorten: false, ..SelectPolicy::test_network() };
        assert_eq!(ask.run(&view, &strict, &mut rng), Err(NoHops::TooFew { known: 3, usable: 3, wanted: 4 }));
        let live = ask.run(&view, &SelectPolicy::default(), &mut rng);
        assert!(live.is_err(), "all in one subnet");
        assert_eq!(ask.run(&PeerView::default(), &strict, &mut rng), Err(NoHops::NobodyKnown));
    }
}

#[test]
fn explicit_routers_must_be_known() {
    let mut rng = Rng::from_seed(9);
    let peers = routers(&mut rng, 5);
    let view = view(&peers[0], &peers);
    let mut ask = Ask::new(&mut rng, Direction::Outbound, 3);
    ask.explicit = vec![peers[4].keys.hash, peers[1].keys.hash];
    assert_eq!(ask.run(&view, &SelectPolicy::default(), &mut rng), Ok(ask.explicit.clone()));
    ask.length = 1;
    assert_eq!(ask.run(&view, &SelectPolicy::default(), &mut rng), Ok(vec![peers[4].keys.hash]));
    ask.explicit[0] = RouterHash([9; 32]);
    assert_eq!(ask.run(&view, &SelectPolicy::default(), &mut rng), Err(NoHops::Unknown(RouterHash([9; 32]))));
}

/// The /16 or /32 of an address, by its text.
fn net(ip: std::net::IpAddr) -> String {
    match ip {
        std::net::IpAddr::V4(ip) => ip.to_string().split('.').take(2).collect(),
        std::net::IpAddr::V6(ip) => format!("{:x?}", &ip.segments()[..2]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn t9_selections_are_diverse_and_connected(
        seed: u64,
        count in 1usize..40,
        length in 1usize..=7,
        inbound: bool,
        client: bool,
        traits in proptest::collection::vec(any::<u8>(), 40),
    ) {
        let mut rng = Rng::from_seed(seed);
        let me = own(&mut rng);
        let peers = live(&mut rng, count, |n, says| {
            let t = traits[n];
            if t & 1 != 0 {
                // Crowded subnets.
                says.host = Some(match t & 2 {
                    0 => format!("77.{}.1.1", t & 4),
                    _ => format!("2a01:{}::{n}", t & 4),
                });
            }
            if t & 8 != 0 {
                says.family = Some(format!("family{}", t & 0x30));
            }
            if t & 0xc0 == 0xc0 {
                (says.host, says.caps) = (None, "OU".into());
            }
        });
        let view = view(&me, &peers);
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        let mut ask = Ask::new(&mut rng, direction, length);
        ask.client = client;
        let Ok(hops) = ask.run(&view, &SelectPolicy::default(), &mut rng) else { return Ok(()) };
        prop_assert_eq!(hops.len(), length);
        let entries: Vec<_> = hops.iter().map(|h| view.get(h).expect("from the view").clone()).collect();
        for (at, a) in entries.iter().enumerate() {
            prop_assert!(a.hash != me.keys.hash);
            for b in &entries[at + 1..] {
                prop_assert!(a.hash != b.hash);
                prop_assert!(!a.subnets.meet(&b.subnets));
                let place = |e: &PeerEntry| e.ntcp2_v4.or(e.ntcp2_v6).map(|c| net(c.addr.ip()));
                prop_assert!(place(a).is_none() || place(a) != place(b));
                prop_assert!(a.family.is_none() || a.family != b.family);
            }
        }
        for pair in entries.windows(2) {
            prop_assert!(can_reach(&pair[0], &pair[1]));
        }
        if inbound {
            prop_assert!(entries[0].reachable && entries[0].ntcp2_v4.is_some());
        } else {
            prop_assert!(entries[0].has_published_address());
        }
    }

    #[test]
    fn shares_and_orders_hold_over_many_selections(
        seed: u64,
        count in 20usize..36,
        length in 1usize..=3,
        kept in 4usize..24,
    ) {
        let mut rng = Rng::from_seed(seed);
        let me = own(&mut rng);
        let peers = live(&mut rng, count, |n, says| says.host = Some(format!("77.{n}.1.1")));
        let view = view(&me, &peers);
        let mut ask = Ask::new(&mut rng, Direction::Outbound, length);
        let mut tunnels: Vec<Vec<RouterHash>> = Vec::new();
        for round in 0..60 {
            ask.direction = if round % 2 == 0 { Direction::Outbound } else { Direction::Inbound };
            ask.usage.clear();
            tunnels.iter().flatten().for_each(|hop| *ask.usage.entry(*hop).or_insert(0) += 1);
            ask.tunnels = tunnels.len();
            let hops = ask.run(&view, &SelectPolicy::default(), &mut rng).expect("enough routers");
            let limit = (tunnels.len() * SelectPolicy::default().share_percent / 100).max(2);
            for hop in &hops {
                let used = ask.usage.get(hop).copied().unwrap_or(0) + 1;
                prop_assert!(used <= limit, "{used} of {} tunnels", tunnels.len());
            }
            let mut from_us = hops.clone();
            if ask.direction == Direction::Inbound {
                from_us.reverse();
            }
            let keys: Vec<_> = from_us.iter().map(|h| order_key(&ask.pool_key, h)).collect();
            prop_assert!(keys.is_sorted(), "the order of the pool");
            tunnels.push(hops);
            if tunnels.len() > kept {
                tunnels.remove(rng.index(tunnels.len()));
            }
        }
    }
}

#[test]
fn who_only_ever_lost_what_we_asked_is_taken_last() {
    let mut rng = Rng::from_seed(4);
    let me = own(&mut rng);
    for (good, shunned) in [(12, true), (3, false)] {
        let peers = live(&mut rng, 30, |_, _| {});
        let silent: Vec<RouterHash> = peers[good..].iter().map(|r| r.keys.hash).collect();
        let view = with(&peers, &me, |n, entry| {
            if n >= good {
                entry.standing.capacity = 0.33;
            }
        });
        let mut taken = 0;
        for client in [false, true] {
            for _ in 0..100 {
                let mut ask = Ask::new(&mut rng, Direction::Outbound, 2);
                ask.client = client;
                let hops = ask.run(&view, &SelectPolicy::default(), &mut rng).expect("found");
                taken += hops.iter().filter(|h| silent.contains(h)).count();
            }
        }
        // Of too few others, everybody is better than always the same.
        assert_eq!(taken == 0, shunned, "{taken} with {good} others");
    }
}
