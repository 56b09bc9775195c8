// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;
use crate::netdb::testing::{Make, NOON, TestRouter};

fn entry(rng: &mut Rng, make: &Make) -> PeerEntry {
    let router = TestRouter::new(rng);
    let info = router.verified(make);
    let facts = Arc::new(Facts::parse(&info).unwrap());
    PeerEntry { info, facts, standing: Standing::default(), connected: false, first_heard_ms: NOON }
}

fn floodfill(rng: &mut Rng, host: &str) -> PeerEntry {
    entry(rng, &Make { caps: "XfR", host: Some(host.into()), ..Make::default() })
}

fn view(entries: Vec<PeerEntry>, own: Option<PeerEntry>, policy: ViewPolicy) -> PeerView {
    PeerView::new(entries.into_iter().map(Arc::new).collect(), own.map(Arc::new), policy, 1)
}

#[test]
fn closest_floodfills_agree_with_sorting_all_of_them() {
    let mut rng = Rng::from_seed(1);
    let mut entries: Vec<PeerEntry> = (0..60).map(|_| floodfill(&mut rng, "198.18.1.1")).collect();
    entries.extend((0..60).map(|_| entry(&mut rng, &Make::default())));
    let mut expected: Vec<RouterHash> = entries.iter().filter(|e| e.floodfill).map(|e| e.hash).collect();
    let view = view(entries, None, ViewPolicy::default());
    let key = Hash([3; 32]);
    let routing = RoutingKey::new(&key, NOON);
    expected.sort_by_key(|h| routing.distance(h));
    let excluded = expected[1];
    let got: Vec<RouterHash> =
        view.closest_floodfills(&key, NOON, |h| *h == excluded, 5).iter().map(|e| e.hash).collect();
    assert_eq!(got[..], [expected[0], expected[2], expected[3], expected[4], expected[5]]);
    assert_eq!(view.closest_floodfills(&key, NOON, |_| false, 500).len(), 60);
    let tomorrow: Vec<RouterHash> =
        view.closest_floodfills(&key, NOON + 86_400_000, |_| false, 5).iter().map(|e| e.hash).collect();
    assert_ne!(tomorrow[..], expected[..5], "other floodfills are responsible on another day");
}

#[test]
fn old_hidden_and_unreachable_floodfills_stand_back() {
    let mut rng = Rng::from_seed(2);
    let old = entry(&mut rng, &Make { caps: "XfR", version: "0.9.50", ..Make::default() });
    let hidden = entry(&mut rng, &Make { caps: "XfH", ..Make::default() });
    let mut unreachable = floodfill(&mut rng, "198.18.1.1");
    unreachable.standing.unreachable_until_ms = NOON + 1;
    let fine = floodfill(&mut rng, "198.18.1.1");
    let (gone, best) = (unreachable.hash, fine.hash);
    let policy = ViewPolicy { min_floodfill_version: RouterVersion(0, 9, 59), diverse: false };
    let view = view(vec![old, hidden, unreachable, fine], None, policy);
    for seed in 0..8 {
        let order: Vec<RouterHash> =
            view.closest_floodfills(&Hash([seed; 32]), NOON, |_| false, 4).iter().map(|e| e.hash).collect();
        assert_eq!(order, [best, gone]);
    }
}

#[test]
fn our_own_floodfill_comes_last_and_can_be_the_only_one() {
    let mut rng = Rng::from_seed(3);
    let (own, other) = (floodfill(&mut rng, "198.18.1.1"), floodfill(&mut rng, "198.18.1.2"));
    let key = Hash([1; 32]);
    let alone = view(vec![], Some(own.clone()), ViewPolicy::default());
    assert_eq!(alone.closest_floodfills(&key, NOON, |_| false, 2)[0].hash, own.hash);
    assert!(alone.closest_floodfills(&key, NOON, |h| *h == own.hash, 2).is_empty());
    assert_eq!(alone.get(&own.hash).unwrap().hash, own.hash);
    let both = view(vec![other.clone()], Some(own.clone()), ViewPolicy::default());
    let order: Vec<RouterHash> =
        both.closest_floodfills(&key, NOON, |_| false, 2).iter().map(|e| e.hash).collect();
    assert_eq!(order, [other.hash, own.hash]);
    assert_eq!(both.closest_floodfills(&key, NOON, |_| false, 1)[0].hash, other.hash);
}

#[test]
fn d4_fresh_floodfills_of_one_subnet_cannot_surround_a_key() {
    let mut rng = Rng::from_seed(4);
    let mut entries: Vec<PeerEntry> = (0..200).map(|_| floodfill(&mut rng, "203.0.113.1")).collect();
    for i in 0..20 {
        let mut known = floodfill(&mut rng, &format!("{}.7.1.1", 11 + i));
        known.standing.contacted = true;
        entries.push(known);
    }
    let policy = ViewPolicy { diverse: true, ..ViewPolicy::default() };
    let view = view(entries, None, policy);
    for seed in 0..16 {
        let picked = view.closest_floodfills(&Hash([seed; 32]), NOON, |_| false, 16);
        let crowd = picked.iter().filter(|e| e.subnets.main() == Some("203.0.0.0".parse().unwrap())).count();
        let known = picked.iter().filter(|e| e.standing.contacted).count();
        assert_eq!(picked.len(), 16);
        // 64 nearest candidates hold about six known ones; what is then missing is filled up by distance.
        assert!(known >= 1 && crowd <= 15, "seed {seed}: {known} known, {crowd} of the crowd");
    }
}

#[test]
fn d3_half_of_the_places_are_for_floodfills_that_are_known_for_two_hours() {
    let mut rng = Rng::from_seed(5);
    let host = |n: u64| format!("{}.{}.1.1", 11 + n / 200, n % 200);
    // Ninety that answered us once and came a moment ago, thirty that are old acquaintances, all in subnets of their own.
    let mut entries = Vec::new();
    for n in 0..120 {
        let mut peer = floodfill(&mut rng, &host(n));
        peer.standing.contacted = true;
        if n >= 90 {
            peer.first_heard_ms = NOON - SETTLED_MS;
        }
        entries.push(peer);
    }
    // One second less is not old enough.
    let mut almost = floodfill(&mut rng, "77.7.7.7");
    almost.standing.contacted = true;
    almost.first_heard_ms = NOON - SETTLED_MS + 1;
    entries.push(almost);
    let view = view(entries, None, ViewPolicy { diverse: true, ..ViewPolicy::default() });
    for seed in 0..32 {
        let picked = view.closest_floodfills(&Hash([seed; 32]), NOON, |_| false, 4);
        let routing = RoutingKey::new(&Hash([seed; 32]), NOON);
        let mut reach: Vec<Arc<PeerEntry>> = view.floodfills().to_vec();
        reach.sort_by_key(|p| routing.distance(&p.hash));
        reach.truncate(16);
        let old = |of: &[Arc<PeerEntry>]| of.iter().filter(|p| p.first_heard_ms + SETTLED_MS <= NOON).count();
        assert!(old(&picked) >= old(&reach).min(2), "seed {seed}: {} of 4", old(&picked));
    }
}

#[test]
fn d3_a_floodfill_without_contact_is_asked_only_where_no_other_is_near() {
    let mut rng = Rng::from_seed(6);
    let strangers: Vec<PeerEntry> =
        (0..3).map(|n| floodfill(&mut rng, &format!("{}.1.1.1", 20 + n))).collect();
    let mut known = floodfill(&mut rng, "40.1.1.1");
    known.standing.contacted = true;
    let trusted = known.hash;
    let policy = ViewPolicy { diverse: true, ..ViewPolicy::default() };
    let with = view([strangers.clone(), vec![known]].concat(), None, policy);
    let without = view(strangers, None, policy);
    for seed in 0..16 {
        let key = Hash([seed; 32]);
        assert_eq!(with.closest_floodfills(&key, NOON, |_| false, 1)[0].hash, trusted);
        assert_eq!(without.closest_floodfills(&key, NOON, |_| false, 1).len(), 1, "better than nobody");
    }
}

#[test]
fn d4_a_search_asks_two_of_a_subnet_and_then_elsewhere() {
    let mut rng = Rng::from_seed(7);
    let mut entries: Vec<PeerEntry> = (0..40).map(|_| floodfill(&mut rng, "203.0.113.1")).collect();
    entries.extend((0..40).map(|n| floodfill(&mut rng, &format!("{}.7.1.1", 11 + n))));
    let view = view(entries, None, ViewPolicy { diverse: true, ..ViewPolicy::default() });
    for seed in 0..16 {
        let key = Hash([seed; 32]);
        let mut asked = Vec::new();
        for _ in 0..7 {
            let next = view.next_floodfill(&key, NOON, &asked, 0, |_| false).unwrap();
            assert!(!asked.contains(&next.hash), "disjoint");
            asked.push(next.hash);
        }
        let crowd = asked
            .iter()
            .filter(|h| view.get(h).unwrap().subnets.main() == Some("203.0.0.0".parse().unwrap()))
            .count();
        assert!(crowd <= 2, "seed {seed}: {crowd} of one subnet");
    }
}

#[test]
fn after_silence_every_second_question_goes_to_a_floodfill_that_we_know() {
    let mut rng = Rng::from_seed(8);
    let mut entries: Vec<PeerEntry> =
        (0..200).map(|n| floodfill(&mut rng, &format!("{}.7.1.1", 11 + n))).collect();
    let mut known = |host: &str, answers: f32| {
        let mut peer = floodfill(&mut rng, host);
        (peer.standing.contacted, peer.standing.answers) = (true, answers);
        entries.push(peer.clone());
        peer.hash
    };
    let proven = [known("5.1.1.1", 0.5), known("6.1.1.1", 0.9)];
    let mute = known("8.1.1.1", 0.2);
    let view = view(entries, None, ViewPolicy::default());
    for seed in 0..16 {
        let key = Hash([seed; 32]);
        let ask = |silent: usize| {
            let mut asked = Vec::new();
            for _ in 0..8 {
                let next = view.next_floodfill(&key, NOON, &asked, silent, |h| *h == mute).unwrap();
                asked.push(next.hash);
            }
            asked
        };
        assert!(!proven.iter().all(|p| ask(1).contains(p)), "seed {seed}: by distance alone");
        let after = ask(2);
        assert!(proven.contains(&after[0]) && proven.contains(&after[2]), "seed {seed}");
        assert_eq!(after.iter().filter(|h| proven.contains(h)).count(), 2, "seed {seed}: each once");
    }
}
