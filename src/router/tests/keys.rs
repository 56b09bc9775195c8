// SPDX-License-Identifier: MIT
//! Sessions of every kind of key, and those that publish their lease set encrypted.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{network, network_at};
use crate::crypto::encrypted_ls::ClientAccess;
use crate::crypto::{Secret32, X25519Secret};
use crate::destination::{
    BlindedAccess, Cause, DestinationKeys, Encryption, ErrorKind, Session, SessionConfig, Target,
};
use crate::router::{Router, Stage};
use crate::wire::{BlindedName, DestHash, SigType};

async fn ready(n: usize) -> Vec<Router> {
    let routers = network(n).await;
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    routers
}

/// A word to `target` and back.
async fn greet(server: &Session, client: &Session, target: impl Into<Target>) {
    let limit = Duration::from_secs(30);
    let pair = async { tokio::join!(server.accept(), client.connect(target)) };
    let (far, near) = tokio::time::timeout(limit, pair).await.expect("in time");
    let (mut far, mut near) = (far.expect("accepts").stream, near.expect("connects"));
    assert_eq!(far.peer(), client.destination());
    assert_eq!(near.peer(), server.destination());
    near.write_all(b"hello").await.expect("writes");
    let mut word = [0; 5];
    far.read_exact(&mut word).await.expect("reads");
    far.write_all(&word).await.expect("writes");
    near.read_exact(&mut word).await.expect("reads");
    assert_eq!(&word, b"hello");
}

fn offline(router: &Router, own: SigType, transient: SigType, seconds: u32) -> DestinationKeys {
    let keys = router.new_keys(own).expect("keys");
    let expires_s = router.inner.clock.now().wall_s() + seconds;
    keys.delegate(transient, expires_s, &mut crate::base::Rng::from_seed(5)).expect("delegates")
}

#[tokio::test]
async fn streams_cross_between_keys_of_every_type_and_offline_keys() {
    let routers = ready(5).await;
    let config = |keys| SessionConfig::with_keys(keys).tunnels(1, 1);
    let own = |sig_type| routers[0].new_keys(sig_type).expect("keys");
    let mut keys =
        [SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521, SigType::Ed25519, SigType::RedDsa]
            .map(own)
            .to_vec();
    keys.push(offline(&routers[0], SigType::Ed25519, SigType::Ed25519, 600));
    keys.push(offline(&routers[0], SigType::EcdsaP521, SigType::RedDsa, 600));
    keys.push(offline(&routers[0], SigType::RedDsa, SigType::EcdsaP256, 600));
    let mut sessions = Vec::new();
    for (n, keys) in keys.into_iter().enumerate() {
        sessions.push(routers[n % 2].session(config(keys)).await.expect("opens"));
    }
    for n in 0..sessions.len() {
        let (server, client) = (&sessions[n], &sessions[(n + 1) % sessions.len()]);
        greet(server, client, server.destination().hash()).await;
        greet(server, client, server.destination().clone()).await;
    }
}

#[tokio::test]
async fn a_session_ends_when_its_offline_key_runs_out_and_none_begins_with_one_that_has() {
    let routers = ready(4).await;
    let late = offline(&routers[0], SigType::Ed25519, SigType::Ed25519, 0);
    let refused = routers[0].session(SessionConfig::with_keys(late)).await.expect_err("has run out");
    assert_eq!(refused.kind(), ErrorKind::Config);
    let keys = offline(&routers[0], SigType::Ed25519, SigType::Ed25519, 4);
    let session = routers[0].session(SessionConfig::with_keys(keys).tunnels(1, 1)).await.expect("opens");
    tokio::time::timeout(Duration::from_secs(10), session.closed()).await.expect("ends by itself");
}

/// Secret, who may read, and the key of one who may.
type Case = (&'static [u8], ClientAccess, Option<[u8; 32]>);

fn encrypted(keys: DestinationKeys, secret: &[u8], access: ClientAccess) -> SessionConfig {
    let mut config = SessionConfig::with_keys(keys).tunnels(1, 1);
    config.encryption = Some(Encryption { secret: Zeroizing::new(secret.to_vec()), access });
    config
}

fn reader(secret: &[u8], key: Option<[u8; 32]>) -> SessionConfig {
    let mut config = SessionConfig::transient().tunnels(1, 1);
    let secret = Zeroizing::new(secret.to_vec());
    config.blinded_access = BlindedAccess { secret, client_key: key.map(Secret32::new) };
    config
}

/// One destination of theirs, found by who may and by nobody else.
async fn found_by_those_who_may(routers: &[Router], n: usize, (secret, access, key): Case) {
    let sig_type = if n.is_multiple_of(2) { SigType::Ed25519 } else { SigType::RedDsa };
    let keys = routers[0].new_keys(sig_type).expect("keys");
    let name = BlindedName::of(keys.destination(), !secret.is_empty(), key.is_some()).expect("a name");
    let mut config = encrypted(keys, secret, access);
    config.lease_set_options = vec![("_smtp._tcp".into(), "0 86400 25".into())];
    let options = config.lease_set_options.clone();
    let server = routers[0].session(config).await.expect("opens");
    let client = routers[1].session(reader(secret, key)).await.expect("opens");
    greet(&server, &client, Target::parse(&name.to_string()).expect("a name")).await;
    // Known now, so the destination itself works too; and so does the way back, by what came with the streams.
    greet(&server, &client, server.destination().clone()).await;
    greet(&client, &server, client.destination().clone()).await;
    // Under its hash it is not to be found.
    let stranger = routers[2].session(reader(b"", None)).await.expect("opens");
    let hidden = stranger.lookup(server.destination().hash()).await.expect_err("hidden");
    assert_eq!(hidden.kind(), ErrorKind::LeaseSetNotFound, "{hidden}");
    let by_name = stranger.lookup_blinded(&name).await;
    if n == 0 {
        assert_eq!(by_name.expect("open to everybody"), *server.destination());
        let found = stranger.lease_set_options(server.destination().hash()).await;
        assert_eq!(found.expect("read before"), options);
    } else {
        assert_eq!(by_name.expect_err("closed").kind(), ErrorKind::Denied);
        let wrong = BlindedAccess {
            secret: Zeroizing::new(if secret.is_empty() { vec![] } else { b"wrong".to_vec() }),
            client_key: Some(Secret32::new([77; 32])),
        };
        let wrong = stranger.lookup_blinded_with(&name, wrong).await.expect_err("closed");
        let expected = if secret.is_empty() { ErrorKind::Denied } else { ErrorKind::LeaseSetNotFound };
        assert_eq!(wrong.kind(), expected, "{wrong}");
    }
    server.close().await;
    client.close().await;
}

#[tokio::test]
async fn encrypted_lease_sets_are_found_by_those_who_may() {
    let routers = ready(6).await;
    let dh = X25519Secret::from_bytes([8; 32]);
    let cases: [Case; 4] = [
        (b"", ClientAccess::Everybody, None),
        (b"word", ClientAccess::Everybody, None),
        (b"", ClientAccess::Dh(vec![dh.public()]), Some([8; 32])),
        (b"word", ClientAccess::Psk(vec![Secret32::new([9; 32])]), Some([9; 32])),
    ];
    let [a, b, c, d] = cases;
    let run = |n, case| Box::pin(found_by_those_who_may(&routers, n, case));
    tokio::join!(run(0, a), run(1, b), run(2, c), run(3, d));
}

#[tokio::test]
async fn what_cannot_be_blinded_is_refused() {
    let routers = ready(3).await;
    let keys = routers[0].new_keys(SigType::EcdsaP256).expect("keys");
    let refused =
        routers[0].session(encrypted(keys, b"", ClientAccess::Everybody)).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.explain().contains("type 7 or 11"), "{refused}");
}

/// Whether some floodfill has an encrypted lease set under the key of `name` on the day of `wall_ms`.
async fn is_stored(asker: &Session, name: &BlindedName, wall_ms: u64) -> bool {
    let day = BlindedAccess::default().blind(name, wall_ms).expect("blinds");
    let answer = asker.lookup(DestHash(day.store_key().0)).await.expect_err("nothing in the clear");
    matches!(answer.cause(), Some(Cause::Lookup { invalid: 1.., .. }))
}

#[tokio::test]
async fn at_midnight_an_encrypted_lease_set_moves_to_the_key_of_the_new_day() {
    const MIDNIGHT_MS: u64 = 20_781 * 86_400_000;
    let routers = network_at(5, Some(MIDNIGHT_MS - 6_000)).await;
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let keys = routers[0].new_keys(SigType::RedDsa).expect("keys");
    let name = BlindedName::of(keys.destination(), false, false).expect("a name");
    let server = routers[0].session(encrypted(keys, b"", ClientAccess::Everybody)).await.expect("opens");
    let early = routers[1].session(reader(b"", None)).await.expect("opens");
    greet(&server, &early, name).await;
    let clock = &routers[0].inner.clock;
    assert!(is_stored(&early, &name, clock.now().wall_ms).await);
    let left = (MIDNIGHT_MS + 4_000).saturating_sub(clock.now().wall_ms);
    tokio::time::sleep(Duration::from_millis(left)).await;
    let late = routers[2].session(reader(b"", None)).await.expect("opens");
    assert!(is_stored(&late, &name, MIDNIGHT_MS).await, "published anew");
    greet(&server, &late, name).await;
}
