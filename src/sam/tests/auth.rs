// SPDX-License-Identifier: MIT
//! Users and passwords, from the first `AUTH ADD` to the restart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Bridge, Client};
use super::stand_in::{Network, StandIn};
use crate::base::Tasks;
use crate::sam::{SamConfig, SamError, SamServer, Users};

const OK: &str = "AUTH STATUS RESULT=OK";
const HELLO_OK: &str = "HELLO REPLY RESULT=OK VERSION=3.1";
const WRONG: &str = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"authorization failed\"";

fn refused(message: &str) -> String {
    format!("AUTH STATUS RESULT=I2P_ERROR MESSAGE=\"{message}\"")
}

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sam-auth-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    async fn bridge(&self) -> Bridge {
        Bridge::configured(|config| config.users = Some(self.0.clone())).await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a new client is answered that says this.
async fn login(bridge: &Bridge, rest: &str) -> (String, Client) {
    let mut client = bridge.raw().await;
    let reply = client.ask(&format!("HELLO VERSION MIN=3.1 MAX=3.1 {rest}")).await;
    (reply, client)
}

#[tokio::test]
async fn s4_auth_commands_do_what_they_say_and_outlive_a_restart() {
    let file = Scratch::new("life");
    let bridge = file.bridge().await;
    let mut admin = bridge.client("3.1").await;
    assert!(
        admin.ask("AUTH ENABLE").await.starts_with("AUTH STATUS RESULT=I2P_ERROR MESSAGE=\"there is no user")
    );
    assert_eq!(admin.ask("AUTH ADD USER=joe").await, refused("USER and PASSWORD required"));
    assert_eq!(admin.ask("AUTH ADD PASSWORD=x").await, refused("USER and PASSWORD required"));
    assert_eq!(admin.ask("AUTH ADD USER=joe PASSWORD=\"two words\"").await, OK);
    assert_eq!(admin.ask("AUTH ADD USER=joe PASSWORD=again").await, refused("user exists"));
    assert_eq!(admin.ask("AUTH REMOVE USER=jim").await, refused("user not found"));
    assert_eq!(admin.ask("AUTH REMOVE").await, refused("USER required"));
    assert!(
        admin
            .ask("AUTH FOO")
            .await
            .starts_with("AUTH STATUS RESULT=I2P_ERROR MESSAGE=\"unknown command AUTH FOO")
    );
    // Not asked for yet, and then ignored.
    assert_eq!(login(&bridge, "USER=joe PASSWORD=wrong").await.0, HELLO_OK);
    assert_eq!(admin.ask("auth enable").await, OK);
    let (reply, mut client) = login(&bridge, "").await;
    assert_eq!(reply, "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"USER and PASSWORD required\"");
    assert_eq!(client.rest().await, b"");
    let (reply, mut client) = login(&bridge, "USER=joe PASSWORD=wrong").await;
    assert_eq!(reply, WRONG);
    assert_eq!(client.rest().await, b"");
    assert_eq!(login(&bridge, "USER=jim PASSWORD=\"two words\"").await.0, WRONG);
    let (reply, mut client) = login(&bridge, "USER=\"joe\" PASSWORD=\"two words\"").await;
    assert_eq!(reply, HELLO_OK);
    assert_eq!(client.ask("PING").await, "PONG");
    assert_eq!(bridge.server.metrics().logins_refused.get(), 3);
    bridge.stop().await;
    // Another router with the same file.
    let bridge = file.bridge().await;
    assert_eq!(
        login(&bridge, "").await.0,
        "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"USER and PASSWORD required\""
    );
    let (reply, mut admin) = login(&bridge, "USER=joe PASSWORD=\"two words\"").await;
    assert_eq!(reply, HELLO_OK);
    assert_eq!(admin.ask("AUTH DISABLE").await, OK);
    assert_eq!(login(&bridge, "").await.0, HELLO_OK);
    assert_eq!(admin.ask("AUTH REMOVE USER=joe").await, OK);
    assert!(Users::load(&file.0).unwrap().is_empty());
    bridge.stop().await;
}

#[tokio::test]
async fn a_password_that_was_right_is_quick_until_the_users_change() {
    let file = Scratch::new("quick");
    let mut users = Users::default();
    users.add("joe", "one").unwrap();
    users.set_required(true);
    users.save(&file.0).unwrap();
    let bridge = file.bridge().await;
    assert_eq!(login(&bridge, "USER=joe PASSWORD=one").await.0, HELLO_OK);
    let start = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(login(&bridge, "USER=joe PASSWORD=one").await.0, HELLO_OK);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // The command line writes the file while we run.
    users.set_password("joe", "two").unwrap();
    users.save(&file.0).unwrap();
    assert_eq!(login(&bridge, "USER=joe PASSWORD=one").await.0, WRONG);
    assert_eq!(login(&bridge, "USER=joe PASSWORD=two").await.0, HELLO_OK);
    // A file that cannot be read changes nothing.
    std::fs::write(&file.0, "rubbish").unwrap();
    assert_eq!(login(&bridge, "USER=joe PASSWORD=two").await.0, HELLO_OK);
    assert!(login(&bridge, "").await.0.contains("required"));
    bridge.stop().await;
}

#[tokio::test]
async fn s4_guessing_is_slowed_down_and_told_so() {
    let file = Scratch::new("guess");
    let mut users = Users::default();
    users.add("joe", "one").unwrap();
    users.set_required(true);
    users.save(&file.0).unwrap();
    let bridge = file.bridge().await;
    let start = tokio::time::Instant::now();
    let tries = (0..16).map(|n| {
        let (bridge, rest) = (&bridge, format!("USER=joe PASSWORD=guess{n}"));
        async move { login(bridge, &rest).await.0 }
    });
    let mut answers = Vec::new();
    let mut tries: Vec<_> = tries.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        tries.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if tries.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let told = answers.iter().filter(|answer| answer.contains("too many wrong passwords")).count();
    let checked = answers.iter().filter(|answer| *answer == WRONG).count();
    assert_eq!((told, checked), (7, 9), "{answers:?}");
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    drop(tries);
    bridge.stop().await;
}

#[tokio::test]
async fn s4_an_unknown_user_costs_what_a_wrong_password_costs() {
    let file = Scratch::new("oracle");
    let mut users = Users::default();
    users.add("joe", "one").unwrap();
    users.set_required(true);
    users.save(&file.0).unwrap();
    let bridge = file.bridge().await;
    let time = async |rest: &str| {
        let start = tokio::time::Instant::now();
        assert_eq!(login(&bridge, rest).await.0, WRONG);
        start.elapsed()
    };
    let known = time("USER=joe PASSWORD=x").await.min(time("USER=joe PASSWORD=y").await);
    let unknown = time("USER=jim PASSWORD=x").await.min(time("USER=jim PASSWORD=y").await);
    let (low, high) = (known.min(unknown), known.max(unknown));
    assert!(high < low * 3 + Duration::from_millis(20), "{known:?} {unknown:?}");
    assert!(low > Duration::from_millis(3), "{known:?} {unknown:?}");
    bridge.stop().await;
}

#[tokio::test]
async fn s1_other_machines_need_users_and_passwords_that_stay() {
    let file = Scratch::new("remote");
    let start = async |auth: bool| {
        let mut config = SamConfig::at(SocketAddr::from(([0, 0, 0, 0], 0)));
        (config.users, config.auth) = (Some(file.0.clone()), auth);
        let tasks = Tasks::new();
        let started = SamServer::start(config, StandIn::new(&Network::default(), 1), &tasks).await;
        started.map(|server| (server, tasks))
    };
    let error = |started: Result<(SamServer, Tasks), SamError>| started.map(|_| ()).unwrap_err();
    assert!(matches!(error(start(false).await), SamError::Exposed(_)));
    assert!(matches!(error(start(true).await), SamError::Exposed(_)));
    let mut users = Users::default();
    users.add("joe", "one").unwrap();
    users.save(&file.0).unwrap();
    assert!(matches!(error(start(false).await), SamError::Exposed(_)), "users, but nobody is asked");
    let (server, tasks) = start(true).await.unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], server.address().unwrap().port()));
    let mut client = Client::to(at).await;
    assert_eq!(client.ask("HELLO VERSION MAX=3.1 USER=joe PASSWORD=one").await, HELLO_OK);
    assert!(client.ask("AUTH DISABLE").await.contains("RESULT=I2P_ERROR"));
    tasks.stop();
    tasks.finished().await;
    let mut config = SamConfig::at(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.auth = true;
    let started = SamServer::start(config, StandIn::new(&Network::default(), 1), &Tasks::new()).await;
    assert!(matches!(started, Err(SamError::NoUsers)));
}
