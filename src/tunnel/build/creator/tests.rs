// SPDX-License-Identifier: MIT
//! Creator against hops: what one side writes the other reads, and nothing that was touched passes.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::base::{Mono, Rng};
use crate::tunnel::build::REJECT;
use crate::tunnel::build::admission::{Admission, AdmissionLimits};
use crate::tunnel::build::hop::{Answered, Dropped, Responder, minutes};
use crate::tunnel::build::record;
use crate::tunnel::build::testing::{TestRouter, routers, start};
use crate::wire::build_record::BuildRequest;
use crate::wire::{Reader, Wire};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).expect("hex")).collect()
}

/// Keys of the vectors: static 11*32.
fn vector_keys() -> crate::tunnel::build::RouterKeys {
    crate::tunnel::build::RouterKeys::new(RouterHash([0x44; 32]), X25519Secret::from_bytes([0x11; 32]))
}

/// `short.record` of the vector script: static 11*32, ephemeral 22*32, prefix 44*16.
const SHORT_RECORD: &str = "444444444444444444444444444444440faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20\
56229e69268180d06ac985d05b859fffe5283dca2d59c4813c5a5e041cfbf5ae8b032292a9e8178f482a5398ecebd2d7f3886867c366a0a75894576d935c\
b17d361ae67dd9db8d088b5bd13d34c09423e12544ce7da60fba0f0179bba22524c14747a935674e355c8881a220c7508d66a87df015b5c42965086cc0f2\
cf23b7e261c0f050badbeb5e91d010ed49480091e205b730481c3ba894827bbba56c4860169e02730ac09a9d1e9a";

#[test]
fn short_record_of_the_vectors_opens_and_derives() {
    let bytes = hex(SHORT_RECORD);
    assert_eq!(bytes.len(), 218);
    let (clear, state) = record::open_request(&vector_keys(), &bytes).expect("opens");
    let request = BuildRequest::decode(RecordSize::Short, &clear).expect("decodes");
    assert_eq!(request.receive, TunnelId(0x0102_0304));
    assert_eq!(request.next_tunnel, TunnelId(0x0506_0708));
    assert_eq!(request.next, RouterHash([0x33; 32]));
    assert_eq!((request.role, request.layer_type, request.minutes), (HopRole::Participant, 0, 29_000_000));
    assert_eq!(request.next_message, MessageId(0x0a0b_0c0d));
    let (ck, h) = state.parts();
    assert_eq!(ck[..], hex("6d8b99d489555d8aa80b35342297ef99a8056539da9a4380d093d70f50217c1d"));
    assert_eq!(h[..], hex("d94da95284ce1362ccaf2b1fc5fb7ea9a1c9d221168f5143346d3d48f92237e1"));

    let keys = state.derive(HopRole::Participant, None);
    assert_eq!(keys.layer.layer[..], hex("21a98a7ee73e4fa798037621ba7d3f0b1b40b0aa29153c3d08af45b421f64e0b"));
    assert_eq!(keys.layer.iv[..], hex("f04767977eb05796946df9d230e7e89807308da200b1563f48603fc0048c1c94"));
    assert!(keys.garlic.is_none());

    let mut reply = vec![0; 218];
    keys.seal_reply(2, &mut reply);
    assert_eq!(reply[..16], hex("e9e1f25d2a62cc06c0116669251628ae"));
    assert_eq!(reply[202..], hex("1415fe475b4f6509d052cd95efb13ad6"));
    assert_eq!(keys.open_reply(2, &mut reply), Some(0));
    let mut other = vec![0; 218];
    keys.mask(3, &mut other);
    assert_eq!(other[..16], hex("a41ab8002817077954a1a9f44d3ccc95"));
    keys.unmask(3, &mut other);
    assert_eq!(other, vec![0; 218]);
}

#[test]
fn endpoint_goes_one_derivation_further() {
    // Reply and layer keys do not depend on the plaintext, so the participant's record serves for the endpoint.
    let (_, state) = record::open_request(&vector_keys(), &hex(SHORT_RECORD)).expect("opens");
    let keys = state.derive(HopRole::OutboundEndpoint, None);
    assert_eq!(keys.layer.iv[..], hex("9903084ed860a7272f1d499d2fd025d99d2e6d5720a81f9b5241766101c74386"));
    let garlic = keys.garlic.expect("an endpoint's reply is wrapped");
    assert_eq!(garlic.key[..], hex("3aab6fe61e99ba598f474b64d44143ec277f03c83c2d7ad02c58bfa6fab1f963"));
    assert_eq!(garlic.tag[..], hex("5afb603573d97872"));
}

#[test]
fn long_record_of_the_vectors_replies_and_masks() {
    use crate::crypto::sha256;
    // The state after the request depends on the key exchange alone except for h, which the script's long record
    // gives; it is rebuilt here from its parts.
    let clear = {
        let keys = LongKeys { layer: [0x55; 32], iv: [0x66; 32], reply: [0x77; 32], reply_iv: [0x88; 16] };
        let request = BuildRequest {
            receive: TunnelId(0x0102_0304),
            next_tunnel: TunnelId(0x0506_0708),
            next: RouterHash([0x33; 32]),
            role: HopRole::Participant,
            layer_type: 0,
            minutes: 29_000_000,
            next_message: MessageId(0x0a0b_0c0d),
            options: Mapping::new(),
            keys: Some(keys),
        };
        let mut clear = Vec::new();
        request.encode(&mut clear);
        clear.resize(464, 0);
        clear
    };
    let public = vector_keys().public.0;
    let ephemeral = X25519Secret::from_bytes([0x22; 32]);
    let shared = ephemeral.dh(&X25519Public(public)).expect("not of low order");
    let mut name = b"Noise_N_25519_ChaChaPoly_SHA256".to_vec();
    name.push(0);
    let salt: [u8; 32] = name.clone().try_into().expect("32 bytes");
    let (_, key) = crate::crypto::kdf::hkdf64(&salt, shared.as_bytes(), b"");
    let h = sha256(&[&sha256(&[&sha256(&[&name]), &public]), &ephemeral.public().0]);
    let mut bytes = vec![0x44; 16];
    bytes.extend_from_slice(&ephemeral.public().0);
    bytes.extend_from_slice(&crate::crypto::aead::seal(&key, 0, &h, &clear));
    assert_eq!(
        sha256(&[&bytes])[..],
        hex("25bbc385c90e54292db43c355dfb89de7a7e1489c56408a7f0f20980d4095ed0")
    );
    let (opened, state) = record::open_request(&vector_keys(), &bytes).expect("opens");
    assert_eq!(opened[..], clear);
    let request = BuildRequest::decode(RecordSize::Long, &opened).expect("decodes");
    let keys = state.derive(request.role, request.keys.as_ref());
    assert_eq!((*keys.layer.layer, *keys.layer.iv), ([0x55; 32], [0x66; 32]));
    let mut reply = vec![0; 528];
    keys.seal_reply(5, &mut reply);
    assert_eq!(
        sha256(&[&reply])[..],
        hex("5521ca943376dda8cbc3718aa201cdfcc1d0886a8a8a450b5e8f655908a19882")
    );
    let mut other = vec![0; 528];
    keys.mask(1, &mut other);
    assert_eq!(
        sha256(&[&other])[..],
        hex("8cc84ae9fb8f62882314400a14a61629fa4493829c0a83049d34fba775402cc1")
    );
    keys.unmask(1, &mut other);
    assert_eq!(other, vec![0; 528]);
}

struct Net {
    rng: Rng,
    me: TestRouter,
    hops: Vec<TestRouter>,
    responders: Vec<Responder>,
}

impl Net {
    fn new(seed: u64, hops: usize) -> Self {
        let mut rng = Rng::from_seed(seed);
        let me = routers(&mut rng, 1).remove(0);
        let hops = routers(&mut rng, hops);
        let responders =
            hops.iter().map(|r| responder(&mut rng, r, AdmissionLimits::test_network())).collect();
        Self { rng, me, hops, responders }
    }

    fn request(&mut self, direction: Direction, size: RecordSize) -> Request {
        let hops: Vec<Hop> =
            self.hops.iter().map(|r| Hop { hash: r.keys.hash, key: r.keys.public }).collect();
        let end = match direction {
            Direction::Inbound => NextHop { router: self.me.keys.hash, tunnel: TunnelId(77) },
            Direction::Outbound => NextHop { router: RouterHash([9; 32]), tunnel: TunnelId(78) },
        };
        let plan = Plan {
            direction,
            hops: &hops,
            end,
            reply: MessageId(4242),
            minutes: minutes(start()),
            me: self.me.keys.hash,
            size,
        };
        request(&mut self.rng, &plan).expect("can be built")
    }

    /// Runs the request through all hops; `touch` may change the records before each.
    fn run(
        &mut self,
        built: &Request,
        mut touch: impl FnMut(usize, &mut BuildRecords),
    ) -> (BuildRecords, Vec<Answered>) {
        let mut records = built.records.clone();
        let mut answers: Vec<Answered> = Vec::new();
        for (at, responder) in self.responders.iter_mut().enumerate() {
            touch(at, &mut records);
            let from = if at == 0 { self.me.keys.hash } else { self.hops[at - 1].keys.hash };
            let body = records.clone().into_body();
            let answer = responder
                .answer(start(), records.size(), body, Some(&from), 0, |_| false)
                .unwrap_or_else(|why| panic!("hop {at}: {why:?}"));
            if let Some(next) = self.hops.get(at + 1) {
                assert_eq!(answer.request.next, next.keys.hash, "hop {at} knows its successor");
            }
            if let Some(before) = answers.last() {
                assert_eq!(
                    before.request.next_tunnel, answer.request.receive,
                    "ids meet between {at} and the one before"
                );
            }
            records = answer.records.clone();
            answers.push(answer);
        }
        (records, answers)
    }
}

fn responder(rng: &mut Rng, router: &TestRouter, limits: AdmissionLimits) -> Responder {
    let admission = Admission::new(limits, rng);
    Responder::new(router.keys.clone(), admission, rng.fork("hop"))
}

fn check_roles(direction: Direction, answers: &[Answered]) {
    let last = answers.len() - 1;
    for (at, answer) in answers.iter().enumerate() {
        let expected = match direction {
            Direction::Inbound if at == 0 => HopRole::InboundGateway,
            Direction::Outbound if at == last => HopRole::OutboundEndpoint,
            _ => HopRole::Participant,
        };
        assert_eq!(answer.request.role, expected);
    }
    let end = &answers[last].request;
    assert_eq!(end.next_message, MessageId(4242));
    assert_eq!(end.next_tunnel, if direction == Direction::Inbound { TunnelId(77) } else { TunnelId(78) });
}

#[test]
fn builds_of_every_length_come_back_with_equal_keys() {
    for size in [RecordSize::Short, RecordSize::Long] {
        for (direction, most) in [(Direction::Outbound, 8), (Direction::Inbound, 7)] {
            for length in 1..=most {
                for seed in 0..6 {
                    let mut net = Net::new(seed * 100 + length as u64, length);
                    let built = net.request(direction, size);
                    let (records, answers) = net.run(&built, |_, _| {});
                    check_roles(direction, &answers);
                    assert_eq!(built.first, answers[0].request.receive);
                    assert_eq!(built.pending.read(records), Ok(vec![0; length]));
                    if size == RecordSize::Short && direction == Direction::Outbound {
                        let (ours, theirs) =
                            (built.garlic.expect("ours"), answers[length - 1].keys.garlic.as_ref());
                        let theirs = theirs.expect("theirs");
                        assert_eq!((&ours.key, ours.tag), (&theirs.key, theirs.tag));
                    }
                    let layers = built.pending.into_layers();
                    assert!(layers.iter().zip(&answers).all(|(ours, answer)| *ours == answer.keys.layer));
                }
            }
        }
    }
}

#[test]
fn message_sizes_are_four_records_or_eight() {
    for (direction, hops, count) in [
        (Direction::Outbound, 1, 4),
        (Direction::Outbound, 4, 4),
        (Direction::Outbound, 5, 8),
        (Direction::Inbound, 3, 4),
        (Direction::Inbound, 4, 8),
        (Direction::Inbound, 7, 8),
    ] {
        assert_eq!(Net::new(5, hops).request(direction, RecordSize::Short).records.count(), count);
    }
}

#[test]
fn impossible_plans_are_refused() {
    for (direction, length) in [(Direction::Inbound, 0), (Direction::Inbound, 8), (Direction::Outbound, 9)] {
        let mut net = Net::new(6, length);
        let hops: Vec<Hop> = net.hops.iter().map(|r| Hop { hash: r.keys.hash, key: r.keys.public }).collect();
        let end = NextHop { router: RouterHash([1; 32]), tunnel: TunnelId(1) };
        let plan = Plan {
            direction,
            hops: &hops,
            end,
            reply: MessageId(1),
            minutes: 0,
            me: net.me.keys.hash,
            size: RecordSize::Short,
        };
        assert!(request(&mut net.rng, &plan).is_none());
    }
    let mut net = Net::new(7, 1);
    let low = [Hop { hash: RouterHash([1; 32]), key: X25519Public([0; 32]) }];
    let end = NextHop { router: RouterHash([1; 32]), tunnel: TunnelId(1) };
    let me = net.me.keys.hash;
    let (direction, reply, size) = (Direction::Outbound, MessageId(1), RecordSize::Short);
    assert!(
        request(&mut net.rng, &Plan { direction, hops: &low, end, reply, minutes: 0, me, size }).is_none()
    );
}

#[test]
fn every_slot_serves_every_hop() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut net = Net::new(seed, 2);
        let built = net.request(Direction::Inbound, RecordSize::Short);
        let slots: Vec<usize> = built.pending.hops.iter().map(|(slot, _)| *slot).collect();
        let creator = built.pending.creator.as_ref().map(|(slot, _)| *slot).expect("inbound");
        seen.extend([(0, slots[0]), (1, slots[1]), (2, creator)]);
        let (records, _) = net.run(&built, |_, _| {});
        assert_eq!(built.pending.read(records), Ok(vec![0, 0]));
    }
    assert_eq!(seen.len(), 12, "three records in four slots each");
}

#[test]
fn a_refusing_hop_is_told_by_its_code() {
    for direction in [Direction::Outbound, Direction::Inbound] {
        for refusing in 0..3 {
            let mut net = Net::new(11, 3);
            net.responders[refusing].admission.set_open(false);
            let built = net.request(direction, RecordSize::Short);
            let (records, answers) = net.run(&built, |_, _| {});
            let mut codes = vec![0; 3];
            codes[refusing] = REJECT;
            assert_eq!(built.pending.read(records), Ok(codes));
            assert!(answers.iter().enumerate().all(|(at, a)| a.accepted == (at != refusing)));
        }
    }
}

#[test]
fn t8_a_receive_id_in_use_is_refused() {
    let mut net = Net::new(12, 1);
    let built = net.request(Direction::Outbound, RecordSize::Short);
    let body = built.records.clone().into_body();
    let from = net.me.keys.hash;
    let answer = net.responders[0]
        .answer(start(), RecordSize::Short, body, Some(&from), 0, |_| true)
        .expect("answered");
    assert!(!answer.accepted);
    assert_eq!(built.pending.read(answer.records), Ok(vec![REJECT]));
}

#[test]
fn a_reply_of_another_shape_is_refused() {
    let mut net = Net::new(13, 2);
    let built = net.request(Direction::Outbound, RecordSize::Short);
    assert_eq!(built.pending.read(BuildRecords::zeroed(RecordSize::Short, 5)), Err(BadReply::Shape));
    assert_eq!(built.pending.read(BuildRecords::zeroed(RecordSize::Long, 4)), Err(BadReply::Shape));
    assert_eq!(built.pending.read(BuildRecords::zeroed(RecordSize::Short, 4)), Err(BadReply::Changed));
}

#[test]
fn a_touched_creator_record_spoils_an_inbound_tunnel() {
    let mut net = Net::new(14, 2);
    let built = net.request(Direction::Inbound, RecordSize::Short);
    let slot = built.pending.creator.as_ref().map(|(slot, _)| *slot).expect("inbound");
    let (records, _) = net.run(&built, |at, records| {
        if at == 1 {
            records.get_mut(slot).expect("there")[100] ^= 1;
        }
    });
    assert_eq!(built.pending.read(records), Err(BadReply::CreatorRecord));
}

#[test]
fn t8_requests_that_break_a_rule_are_dropped_in_silence() {
    let build = |edit: &dyn Fn(&mut BuildRequest)| {
        let mut net = Net::new(15, 1);
        let mut request = BuildRequest {
            receive: TunnelId(5),
            next_tunnel: TunnelId(6),
            next: RouterHash([8; 32]),
            role: HopRole::Participant,
            layer_type: 0,
            minutes: minutes(start()),
            next_message: MessageId(1),
            options: Mapping::new(),
            keys: None,
        };
        edit(&mut request);
        let mut clear = Vec::new();
        request.encode(&mut clear);
        record::pad_request(&mut net.rng, RecordSize::Short, &mut clear);
        let mut records = BuildRecords::zeroed(RecordSize::Short, 4);
        let hop = &net.hops[0];
        let prefix = hop.keys.hash.0.first_chunk().expect("32 bytes");
        let slot = records.get_mut(3).expect("there");
        record::seal_request(&mut net.rng, prefix, &hop.keys.public, &clear, slot).expect("sealed");
        (net, records.into_body())
    };
    let from = RouterHash([7; 32]);
    let ask = |edit: &dyn Fn(&mut BuildRequest), from: Option<RouterHash>| {
        let (mut net, body) = build(edit);
        let me = net.hops[0].keys.hash;
        net.responders[0] = responder(&mut net.rng, &net.hops[0], AdmissionLimits::default());
        let _ = me;
        net.responders[0]
            .answer(start(), RecordSize::Short, body, from.as_ref(), 0, |_| false)
            .map(|a| a.accepted)
    };
    let mine = Net::new(15, 1).hops[0].keys.hash;
    let direct = Some(from);
    assert_eq!(ask(&|_| {}, direct), Ok(true));
    assert_eq!(ask(&|r| r.receive = TunnelId(0), direct), Err(Dropped::ZeroTunnel));
    assert_eq!(ask(&|r| r.next_tunnel = TunnelId(0), direct), Err(Dropped::ZeroTunnel));
    assert_eq!(ask(&|r| r.next = mine, direct), Err(Dropped::NextIsUs));
    let endpoint_to_us = |r: &mut BuildRequest| (r.role, r.next) = (HopRole::OutboundEndpoint, mine);
    assert_eq!(ask(&endpoint_to_us, direct), Ok(true));
    assert_eq!(ask(&|_| {}, None), Err(Dropped::NotDirect));
    assert_eq!(ask(&|r| r.role = HopRole::OutboundEndpoint, None), Err(Dropped::NotDirect));
    assert_eq!(ask(&|r| r.role = HopRole::InboundGateway, None), Ok(true));
    assert_eq!(ask(&|r| r.next = from, direct), Err(Dropped::TurnsBack));
    let one_hop_inbound = |r: &mut BuildRequest| (r.role, r.next) = (HopRole::InboundGateway, from);
    assert_eq!(ask(&one_hop_inbound, direct), Ok(true), "the creator may stand on both sides of a gateway");
    let one_hop_outbound = |r: &mut BuildRequest| (r.role, r.next) = (HopRole::OutboundEndpoint, from);
    assert_eq!(ask(&one_hop_outbound, direct), Ok(true), "the creator may be the reply gateway");
    assert_eq!(ask(&|r| r.layer_type = 1, direct), Err(Dropped::LayerType));
    let ours = minutes(start());
    for (shift, fine) in [(-9i64, false), (-8, true), (0, true), (5, true), (6, false)] {
        let at = u32::try_from(i64::from(ours) + shift).expect("in range");
        let expected = if fine { Ok(true) } else { Err(Dropped::Time) };
        assert_eq!(ask(&|r| r.minutes = at, direct), expected, "{shift} minutes");
    }
}

#[test]
fn a_request_is_answered_once() {
    let mut net = Net::new(16, 1);
    let built = net.request(Direction::Outbound, RecordSize::Short);
    let (body, from) = (built.records.into_body(), net.me.keys.hash);
    let mut ask = |at: u64| {
        let now = start().later(std::time::Duration::from_secs(at));
        net.responders[0]
            .answer(now, RecordSize::Short, body.clone(), Some(&from), 0, |_| false)
            .map(|a| a.accepted)
    };
    assert_eq!(ask(0), Ok(true));
    assert_eq!(ask(1), Err(Dropped::Replay));
    assert_eq!(ask(599), Err(Dropped::Replay), "for as long as the request's time would be accepted");
}

#[test]
fn what_is_not_for_us_or_does_not_open_is_dropped() {
    let mut net = Net::new(17, 1);
    let built = net.request(Direction::Outbound, RecordSize::Short);
    let from = net.me.keys.hash;
    let mut ask = |size, body: Vec<u8>| {
        net.responders[0].answer(start(), size, body, Some(&from), 0, |_| false).map(|a| a.accepted)
    };
    assert_eq!(ask(RecordSize::Short, Vec::new()), Err(Dropped::Malformed));
    assert_eq!(ask(RecordSize::Short, vec![4; 100]), Err(Dropped::Malformed));
    assert_eq!(ask(RecordSize::Short, vec![4; 1 + 4 * 218]), Err(Dropped::NotForUs));
    let mut body = built.records.clone().into_body();
    let slot = built.pending.hops[0].0;
    body[1 + slot * 218 + 60] ^= 1;
    assert_eq!(ask(RecordSize::Short, body), Err(Dropped::Undecryptable));
}

#[test]
fn t2_rates_are_limited_per_peer_and_in_all() {
    let mut rng = Rng::from_seed(18);
    let hop = routers(&mut rng, 1).remove(0);
    let mut limits = AdmissionLimits { requests_per_peer: (3, 3), ..AdmissionLimits::default() };
    let mut responder_of = |limits: &AdmissionLimits| responder(&mut rng, &hop, limits.clone());
    let mut peers = responder_of(&limits);
    let ask = |r: &mut Responder, now, from: Option<RouterHash>| {
        r.answer(now, RecordSize::Short, vec![1; 219], from.as_ref(), 0, |_| false).map(|a| a.accepted)
    };
    let (a, b) = (RouterHash([1; 32]), RouterHash([2; 32]));
    for _ in 0..3 {
        assert_eq!(ask(&mut peers, start(), Some(a)), Err(Dropped::NotForUs));
    }
    assert_eq!(ask(&mut peers, start(), Some(a)), Err(Dropped::PeerRate));
    assert_eq!(ask(&mut peers, start(), Some(b)), Err(Dropped::NotForUs));
    let later = start().later(std::time::Duration::from_secs(110));
    assert_eq!(ask(&mut peers, later, Some(a)), Err(Dropped::NotForUs));

    (limits.requests_burst, limits.requests_per_second) = (5, 10);
    let mut all = responder_of(&limits);
    let mut n = 0u8;
    let mut ours = |r: &mut Responder, now| {
        let mut body = vec![1; 219];
        body[1..17].copy_from_slice(&hop.keys.hash.0[..16]);
        n += 1;
        body[17..49].fill(n);
        r.answer(now, RecordSize::Short, body, None, 0, |_| false).map(|a| a.accepted)
    };
    for _ in 0..5 {
        assert_eq!(ours(&mut all, start()), Err(Dropped::Undecryptable));
    }
    assert_eq!(ours(&mut all, start()), Err(Dropped::RouterRate));
    assert_eq!(ask(&mut all, start(), None), Err(Dropped::NotForUs), "what is not for us costs nothing");
    let later = start().later(std::time::Duration::from_millis(100));
    for _ in 0..100 {
        assert_eq!(ask(&mut all, later, None), Err(Dropped::NotForUs), "and takes nothing");
    }
    assert_eq!(ours(&mut all, later), Err(Dropped::Undecryptable));
    assert_eq!(ours(&mut all, later), Err(Dropped::RouterRate));
}

#[test]
fn t2_a_flood_from_some_peers_does_not_shut_out_the_others() {
    let mut net = Net::new(20, 1);
    net.responders[0] = responder(&mut net.rng, &net.hops[0], AdmissionLimits::default());
    let flood = net.request(Direction::Outbound, RecordSize::Short).records.into_body();
    let (mut honest, mut accepted, mut flooded) = (0, 0, 0);
    for tick in 0..400u64 {
        let now = start().later(std::time::Duration::from_millis(tick * 25));
        for n in 0..500u64 {
            let from = RouterHash([200 + u8::try_from(n % 5).expect("small"); 32]);
            let body = flood.clone();
            let answer = net.responders[0].answer(now, RecordSize::Short, body, Some(&from), 0, |_| false);
            flooded += usize::from(answer.is_ok());
        }
        if tick % 4 == 0 {
            let from = RouterHash([u8::try_from(tick / 4 % 20).expect("small"); 32]);
            let built = net.request(Direction::Inbound, RecordSize::Short);
            let body = built.records.into_body();
            let answer = net.responders[0].answer(now, RecordSize::Short, body, Some(&from), 0, |_| false);
            honest += 1;
            // All honest tunnels end at one creator here, which may have four: only the answer counts.
            accepted += usize::from(answer.is_ok());
        }
    }
    assert_eq!((honest, flooded), (100, 1), "200,000 requests in ten seconds");
    assert!(accepted * 10 >= honest * 8, "{accepted} of {honest} honest ones were answered");
}

#[test]
fn t4_admission_refuses_more_the_fuller_we_are() {
    let mut rng = Rng::from_seed(19);
    let limits = AdmissionLimits { transit_max: 100, ..AdmissionLimits::test_network() };
    let mut admission = Admission::new(limits, &mut rng);
    let mut taken = |transit, rng: &mut Rng| {
        (0..300).filter(|_| admission.accept(Mono::from_secs(1), rng, [None, None], transit)).count()
    };
    assert_eq!(taken(69, &mut rng), 300);
    let (some, few) = (taken(80, &mut rng), taken(95, &mut rng));
    assert!((100..300).contains(&some) && few < some, "{some} at 80 %, {few} at 95 %");
    assert_eq!(taken(100, &mut rng), 0);
    let none = AdmissionLimits { transit_max: 0, ..AdmissionLimits::default() };
    assert!(!Admission::new(none, &mut rng).accept(Mono(0), &mut rng, [None, None], 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_changed_byte_anywhere_never_gives_a_tunnel(
        seed: u64,
        outbound: bool,
        hops in 1usize..=4,
        slot in 0usize..8,
        byte in 0usize..218,
        flip in 1u8..=255,
    ) {
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let mut net = Net::new(seed, hops);
        let built = net.request(direction, RecordSize::Short);
        let (mut records, _) = net.run(&built, |_, _| {});
        let slot = slot % records.count();
        let used = built.pending.hops.iter().any(|(s, _)| *s == slot)
            || built.pending.creator.as_ref().is_some_and(|(s, _)| *s == slot);
        records.get_mut(slot).expect("there")[byte] ^= flip;
        let read = built.pending.read(records);
        if used {
            prop_assert!(read.is_err());
        } else {
            prop_assert_eq!(read, Ok(vec![0; hops]));
        }
    }

    #[test]
    fn no_bytes_make_a_responder_panic(seed: u64, body in proptest::collection::vec(any::<u8>(), 0..2000), ours: bool) {
        let mut net = Net::new(seed, 1);
        let mut body = body;
        if ours && body.len() > 17 {
            body[0] %= 9;
            body[1..17].copy_from_slice(&net.hops[0].keys.hash.0[..16]);
        }
        for size in [RecordSize::Short, RecordSize::Long] {
            let _ = net.responders[0].answer(start(), size, body.clone(), None, 0, |_| false);
        }
    }
}

#[test]
fn t10_ids_keys_and_places_of_records_are_random_and_never_come_twice() {
    let mut rng = Rng::from_seed(77);
    let hops: Vec<Hop> =
        routers(&mut rng, 3).iter().map(|r| Hop { hash: r.keys.hash, key: r.keys.public }).collect();
    let (mut places, mut ephemerals, mut ids) = ([[0u32; 4]; 3], Vec::new(), Vec::new());
    const ROUNDS: u32 = 400;
    for _ in 0..ROUNDS {
        let plan = Plan {
            direction: Direction::Outbound,
            hops: &hops,
            end: NextHop { router: RouterHash([8; 32]), tunnel: TunnelId(8) },
            reply: MessageId(9),
            minutes: minutes(start()),
            me: RouterHash([7; 32]),
            size: RecordSize::Short,
        };
        let request = request(&mut rng, &plan).expect("builds");
        for (at, (slot, _)) in request.pending.hops.iter().enumerate() {
            places[at][*slot] += 1;
        }
        // The first hop's record is in the clear, the others are masked; all of them, fakes included, look random.
        ephemerals.extend(request.records.iter().filter_map(record::ephemeral));
        ids.push(request.first);
    }
    for counts in places {
        // 100 are expected in each; five standard deviations are 43.
        assert!(counts.iter().all(|n| (57..=143).contains(n)), "{places:?}");
    }
    ephemerals.sort_unstable();
    ephemerals.dedup();
    assert_eq!(ephemerals.len(), 4 * ROUNDS as usize);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), ROUNDS as usize);
    assert!(ids.iter().all(|id| id.0 != 0));
}

#[test]
fn t6_bandwidth_options_are_answered_and_hold_a_gateway_to_its_creators_word() {
    let mut rng = Rng::from_seed(78);
    let hop = routers(&mut rng, 1).remove(0);
    let limits = AdmissionLimits { transit_kbs: Some(100), ..AdmissionLimits::test_network() };
    let mut ask = |pairs: &[(&str, &str)], role: HopRole| {
        let mut options = Mapping::new();
        pairs.iter().for_each(|(key, value)| options.set(key, value));
        let asked = BuildRequest {
            receive: TunnelId(rng.nonzero_u32()),
            next_tunnel: TunnelId(5),
            next: RouterHash([6; 32]),
            role,
            layer_type: 0,
            minutes: minutes(start()),
            next_message: MessageId(7),
            options,
            keys: None,
        };
        let mut clear = Vec::new();
        asked.encode(&mut clear);
        record::pad_request(&mut rng, RecordSize::Short, &mut clear);
        let mut records = BuildRecords::zeroed(RecordSize::Short, 4);
        let prefix = hop.keys.hash.0.first_chunk::<HOP_PREFIX>().unwrap();
        let state =
            record::seal_request(&mut rng, prefix, &hop.keys.public, &clear, records.get_mut(1).unwrap())
                .unwrap();
        let keys = state.derive(role, None);
        let mut responder = responder(&mut rng, &hop, limits.clone());
        let from = RouterHash([9; 32]);
        let answered = responder
            .answer(start(), RecordSize::Short, records.into_body(), Some(&from), 0, |_| false)
            .unwrap();
        let mut reply = answered.records.get(1).unwrap().to_vec();
        let code = keys.open_reply(1, &mut reply).unwrap();
        let said = Mapping::decode(&mut Reader::new(&reply)).unwrap();
        (code, said.get("b").map(str::to_owned), answered.rate)
    };
    let gateway = HopRole::InboundGateway;
    assert_eq!(ask(&[], gateway), (0, None, None));
    assert_eq!(ask(&[("m", "100"), ("l", "120")], gateway), (0, Some("100".into()), Some(120_000)));
    assert_eq!(ask(&[("m", "101")], gateway), (REJECT, None, None), "one past what is left");
    assert_eq!(ask(&[("r", "60"), ("l", "120")], HopRole::Participant), (0, Some("48".into()), None));
}
