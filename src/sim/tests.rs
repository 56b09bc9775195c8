// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Net;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn pair(world: &World, link: LinkProfile) -> (crate::base::Connection, crate::base::Connection) {
    world.set_default_link(link);
    let (a, b) = ([5, 1, 1, 1], [46, 2, 2, 2]);
    let (a, b) = (world.bare_host(a.into(), Nat::Open), world.bare_host(b.into(), Nat::Open));
    let at = SocketAddr::from(([46, 2, 2, 2], 80));
    let mut listener = b.listen(at).await.expect("listens");
    let (far, near) = tokio::join!(listener.accept(), a.connect(at, None));
    (near.expect("connects"), far.expect("accepts"))
}

/// Sends so many bytes and says how long they took.
async fn transfer(world: &World, link: LinkProfile, len: usize) -> Duration {
    let (mut near, mut far) = pair(world, link).await;
    let start = world.now();
    let sent: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let write = async move {
        near.stream.write_all(&copy).await.expect("writes");
        near.stream.shutdown().await.expect("shuts");
        near
    };
    let mut got = Vec::new();
    let (_near, read) = tokio::join!(write, far.stream.read_to_end(&mut got));
    read.expect("reads");
    assert!(got == sent, "{} of {len} bytes", got.len());
    world.now() - start
}

#[test]
fn latency_is_what_a_byte_takes() {
    let link = LinkProfile::quick(Duration::from_millis(30));
    let took = run(1, |world| async move { transfer(&world, link, 1).await }).value;
    assert!((30..=45).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn bandwidth_and_window_bound_the_rate() {
    let link = LinkProfile::quick(Duration::from_millis(10)).bandwidth(1_000_000);
    let took = run(1, |world| async move { transfer(&world, link, 3_000_000).await }).value;
    assert!((3.0..3.3).contains(&took.as_secs_f64()), "{took:?}");
    let link = LinkProfile::quick(Duration::from_millis(50));
    let took = run(1, |world| async move { transfer(&world, link, 10 * 256 * 1024).await }).value;
    assert!((0.9..1.2).contains(&took.as_secs_f64()), "a window a round trip: {took:?}");
}

#[test]
fn loss_delays_and_slows_but_loses_nothing() {
    let quick = LinkProfile::quick(Duration::from_millis(20));
    let lossy = quick.clone().lossy(0.05);
    let clean = run(1, |world| async move { transfer(&world, quick, 1_000_000).await }).value;
    let slow = run(1, |world| async move { transfer(&world, lossy, 1_000_000).await }).value;
    assert!(slow > clean * 5, "{clean:?} {slow:?}");
}

#[test]
fn silence_ends_a_connection_and_a_refusal_is_quick() {
    run(1, |world| async move {
        let (mut near, _far) = pair(&world, LinkProfile::quick(Duration::from_millis(20))).await;
        world.set_default_link(LinkProfile::default().lossy(1.0));
        near.stream.write_all(b"hello").await.expect("is buffered");
        let error = near.stream.read_u8().await.expect_err("fails");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!((30..35).contains(&world.now().as_secs()), "{:?}", world.now());
        world.set_default_link(LinkProfile::default());
        let host = world.bare_host([62, 1, 1, 1].into(), Nat::Open);
        let refused = host.connect(SocketAddr::from(([5, 1, 1, 1], 9)), None).await.err();
        assert_eq!(refused.map(|e| e.kind()), Some(std::io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn taps_change_what_passes_and_secrets_are_found() {
    run(1, |world| async move {
        let (mut near, mut far) = pair(&world, LinkProfile::default()).await;
        world.secret(b"attack at dawn");
        near.stream.write_all(b"we attack ").await.expect("writes");
        world.sleep(Duration::from_secs(1)).await;
        near.stream.write_all(b"at dawn!").await.expect("writes");
        let mut got = [0; 18];
        far.stream.read_exact(&mut got).await.expect("reads");
        assert_eq!(world.leaks().len(), 1);
    });
}

#[test]
fn patterns_are_found_wherever_they_are() {
    for at in 0..40 {
        let mut hay = vec![b'a'; 48];
        hay[at..at + 8].copy_from_slice(b"needles!");
        assert!(tap::contains(&hay, b"needles!"));
        hay[at + 3] = b'x';
        assert!(!tap::contains(&hay, b"needles!"));
    }
    assert!(!tap::contains(b"needles", b"needles!"));
}

async fn echo(world: World) -> Duration {
    let routers = world.network(6, |_| RouterSetup::default()).await;
    let config = crate::destination::SessionConfig::transient().tunnels(2, 2);
    let server = routers[0].router().session(config.clone()).await.expect("opens");
    let client = routers[1].router().session(config).await.expect("opens");
    let (far, near) = tokio::join!(server.accept(), client.connect(server.destination().clone()));
    let (mut far, mut near) = (far.expect("accepts").stream, near.expect("connects"));
    let sent: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let mut got = vec![0; sent.len()];
    let (wrote, read) = tokio::join!(near.write_all(&sent), far.read_exact(&mut got));
    wrote.expect("writes");
    read.expect("reads");
    assert!(got == sent);
    world.sleep(Duration::from_secs(120)).await;
    world.now()
}

#[test]
fn one_seed_gives_one_trace() {
    let (one, two, other) = (run(5, echo), run(5, echo), run(6, echo));
    let part = one.marks.iter().zip(&two.marks).position(|(a, b)| a != b);
    assert_eq!(one.trace, two.trace, "part at mark {part:?}: {:?}", part.map(|p| one.marks[p]));
    assert_ne!(one.trace, other.trace);
    assert!(one.events > 1000, "{}", one.events);
}
