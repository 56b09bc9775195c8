// SPDX-License-Identifier: MIT
//! Networks in which most of the routers that are known do not exist.

use std::net::Ipv4Addr;
use std::time::Duration;

use samovar::base::Rng;
use samovar::crypto::SigningKey;
use samovar::sim::{Node, RouterSetup};
use samovar::wire::{KeysAndCert, Mapping, RouterAddress, RouterIdentity, RouterInfo, SigType, b64};

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// So many that a router's table is no longer copied at every change of it.
const GHOSTS: usize = 300;
/// Routers that come when the ghosts are known.
const NEWCOMERS: usize = 3;

/// A RouterInfo that is right in everything, but nobody is at its address.
fn ghost(rng: &mut Rng, net_id: u8, now_ms: u64, floodfill: bool) -> Vec<u8> {
    let signing = SigningKey::random(rng);
    let mut key: [u8; 32] = rng.bytes();
    key[31] &= 0x7f;
    let keys = KeysAndCert::build(SigType::Ed25519, signing.public().as_ref(), 4, &key, rng.bytes());
    let ip = Ipv4Addr::from([103, rng.bytes::<1>()[0], rng.bytes::<1>()[0], 7]);
    let mut options = Mapping::new();
    options.set("host", &ip.to_string());
    options.set("port", "12345");
    options.set("s", &b64::encode(&key));
    options.set("i", &b64::encode(&rng.bytes::<16>()));
    options.set("v", "2");
    let address = RouterAddress { cost: 3, style: "NTCP2".into(), options };
    let mut options = Mapping::new();
    options.set("caps", if floodfill { "XfR" } else { "XR" });
    options.set("netId", &net_id.to_string());
    options.set("router.version", "0.9.67");
    let published = now_ms.saturating_sub(rng.below(600_000));
    let sign = |bytes: &[u8]| signing.sign(bytes).to_vec();
    RouterInfo::build(&RouterIdentity::new(keys), published, vec![address], options, sign).raw().to_vec()
}

/// Ten routers hear of three hundred that do not exist, half of them floodfills, a few every second; then others come,
/// who know of all of them from the start. Nine of ten calls must find their destination all the same (D3), and
/// everybody must get tunnels. The newcomers stop before the end, so what they sent is not in the books.
pub(crate) fn ghosts(seed: u64) -> String {
    play(seed, Plan::of(10).faults(), async |stage: Stage| {
        let world = &stage.world;
        let mut rng = world.rng("ghosts");
        let net_id = stage.nodes[0].router().info().net_id().expect("it says its network");
        let mut heard: Vec<Vec<u8>> = Vec::new();
        let mut sessions = stage.sessions([1, 4]).await;
        while heard.len() < GHOSTS {
            let now = world.wall_ms();
            let some: Vec<Vec<u8>> = (0..10).map(|i| ghost(&mut rng, net_id, now, i % 2 == 0)).collect();
            for node in &stage.nodes {
                node.router().load_routers(some.clone()).await;
            }
            heard.extend(some);
            stage.seconds(1).await;
        }
        let known = stage.nodes.iter().map(|n| n.counter("netdb", "routers_known")).min();
        assert!(known.is_some_and(|n| n > 256), "{known:?} routers are known");
        let came = world.now();
        let newcomers = world.strangers(NEWCOMERS, |_| RouterSetup::default().floodfill(false)).await;
        let all: Vec<Node> = stage.nodes.iter().chain(&newcomers).cloned().collect();
        for node in &newcomers {
            node.router().load_routers(heard.clone()).await;
        }
        world.introduce(&all).await;
        world.settle(&newcomers).await;
        let took = (world.now() - came).as_secs();
        sessions.extend(stage.sessions([6, 8]).await);
        let mut calls = 0;
        for _ in 0..3 {
            for from in &sessions {
                for to in sessions.iter().filter(|to| to.destination() != from.destination()) {
                    stage.ledger.call(from, to, Talk::of(2_000, 2_000));
                    calls += 1;
                }
            }
            stage.seconds(200).await;
        }
        let tally = stage.settle().await;
        assert!(tally.through * 10 >= calls * 9, "{tally:?}: {}", stage.ledger.failures().join("; "));
        for node in &newcomers {
            node.shutdown().await;
        }
        world.sleep(Duration::from_secs(1)).await;
        format!("newcomers had tunnels after {took} s, {} of {calls} calls got through", tally.through)
    })
}
