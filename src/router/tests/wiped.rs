// SPDX-License-Identifier: MIT
//! A whole router and a SAM client with keys and a password: when it has stopped, none of them is left in memory.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::{Zeroize as _, Zeroizing};

use crate::base::Rng;
use crate::crypto::sha256;
use crate::crypto::tests::heap::{Search, in_child};
use crate::destination::DestinationKeys;
use crate::router::{Router, RouterConfig};

/// Sends a line in pieces of 700 bytes, as a slow network would, and gives the start of the answer.
async fn say(client: &mut tokio::net::TcpStream, line: &str) -> String {
    for piece in line.as_bytes().chunks(700) {
        client.write_all(piece).await.expect("writes");
        client.flush().await.expect("writes");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // On the stack of the test: the answer has the private key in it.
    let mut reply = [0u8; 4096];
    let mut length = 0;
    while !reply[..length].contains(&b'\n') {
        length += client.read(&mut reply[length..]).await.expect("reads");
    }
    let start = String::from_utf8_lossy(&reply[..24]).into_owned();
    reply.zeroize();
    start
}

fn line_with_keys(text: &str, secret: &str) -> Zeroizing<String> {
    let parts = [
        "SESSION CREATE STYLE=STREAM ID=w inbound.length=0 outbound.length=0 DESTINATION=",
        text,
        " i2cp.leaseSetSecret=",
        secret,
        "\n",
    ];
    Zeroizing::new(parts.concat())
}

/// Starts a router, lets a client in and out, and stops it. What the files and the client hold is added to `search`.
async fn life(dir: &std::path::Path, search: &mut Search) {
    let config = RouterConfig {
        data_dir: Some(dir.to_owned()),
        host: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        net_id: 99,
        test_network: true,
        sam: Some((Ipv4Addr::LOCALHOST, 0).into()),
        sam_spare: false,
        ..RouterConfig::default()
    };
    let router = Router::builder().config(config.clone()).start().await.expect("starts");
    // A session wants somebody to publish its lease set to.
    let other = RouterConfig { data_dir: None, sam: None, floodfill: true, ..config };
    let other = Router::builder().config(other).start().await.expect("starts");
    router.load_routers(vec![other.info().raw().to_vec()]).await;
    other.load_routers(vec![router.info().raw().to_vec()]).await;
    let file = Zeroizing::new(std::fs::read(dir.join("router.keys")).expect("the key file"));
    // Three keys of 32 bytes stand before the IV (16) and the sum (32).
    let end = file.len() - 48;
    search.add("identity signing key", &file[end - 96..end - 64]);
    search.add("encryption key", &file[end - 64..end - 32]);
    search.add("NTCP2 key", &file[end - 32..end]);

    let keys = DestinationKeys::generate(&mut Rng::from_seed(7)).expect("Ed25519");
    search.add("destination key", &keys.to_bytes()[391 + 256..]);
    let text = keys.to_base64();
    // The last three characters of the text: of the key's 43 these are sure to be of nothing else.
    search.add("destination key in base64", &text.as_bytes()[text.len() - 36..text.len() - 4]);
    drop(keys);
    let secret = Zeroizing::new(crate::wire::b64::encode(&sha256(&[b"lease set secret"])));
    search.add("lease set secret in base64", secret.as_bytes());
    search.add("lease set secret", &sha256(&[b"lease set secret"]));
    let password = "PASSWORD=correct-horse-battery-staple-correct-horse";
    search.add("password", &password.as_bytes()[9..]);

    let sam = router.sam_addr().expect("a bridge");
    let mut client = tokio::net::TcpStream::connect(sam).await.expect("connects");
    let hello = Zeroizing::new(["HELLO VERSION USER=joe ", password, "\n"].concat());
    assert!(say(&mut client, &hello).await.starts_with("HELLO REPLY RESULT=OK"));
    let line = line_with_keys(&text, &secret);
    drop((hello, text, secret));
    let limit = std::time::Duration::from_secs(60);
    let reply = tokio::time::timeout(limit, say(&mut client, &line)).await.expect("in time");
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    drop(line);
    assert!(say(&mut client, "DEST GENERATE SIGNATURE_TYPE=7\n").await.starts_with("DEST REPLY"));
    search.expect_all_but(&["password", "lease set secret in base64"], "while the router runs");
    drop(client);
    router.shutdown().await;
    other.shutdown().await;
}

#[test]
fn a_router_takes_its_secrets_along() {
    if in_child("router::tests::wiped::a_router_takes_its_secrets_along") {
        return;
    }
    let dir = std::env::temp_dir().join(format!("samovar-wiped-{}", std::process::id()));
    let mut search = Search::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(life(&dir, &mut search));
    drop(runtime);
    let _ = std::fs::remove_dir_all(&dir);
    search.expect_nothing("after the end");
}
