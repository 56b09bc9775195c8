// SPDX-License-Identifier: MIT
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::base::{Queue, QueueSender, Tasks, watch};
use crate::router::status::Status;

fn temp_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("samovar-persist-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

/// A disk task whose clock is the paused one of the test.
fn start(storage: &Storage) -> (QueueSender<Job>, watch::Receiver<Status>, Tasks) {
    let (jobs, receiver) = Queue::bounded("disk_jobs", 64);
    let (board, status) = StatusBoard::new();
    let tasks = Tasks::new();
    let disk = run(storage.clone(), receiver, Clock::starting_at(0), board, Arc::default());
    tasks.spawn_orderly("disk", disk);
    (jobs, status, tasks)
}

#[test]
fn k4_the_newest_of_each_file_waits_and_only_so_many() {
    let mut backlog = Backlog::default();
    for n in 0..BACKLOG_MAX {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&(n as u64).to_be_bytes());
        assert!(backlog.add(Job::Save(RouterHash(hash), Arc::from(&b"x"[..]))));
    }
    assert!(!backlog.add(Job::Forget(RouterHash([255; 32]))), "full");
    assert!(backlog.add(Job::Forget(RouterHash([0; 32]))), "one that waits already is replaced");
    assert!(backlog.add(Job::Profiles(String::new())) && backlog.add(Job::Own(Arc::from(&b"y"[..]))));
    assert_eq!(backlog.0.len(), BACKLOG_MAX + 2);
    assert!(matches!(backlog.0.get(&Target::Router(RouterHash([0; 32]))), Some(Job::Forget(_))));
}

#[test]
fn one_refusal_does_not_cost_the_others_their_turn() {
    let dir = temp_dir("others");
    let storage = Storage::open(&dir).expect("opens");
    fs::create_dir_all(dir.join("profiles.txt/x")).expect("in the way");
    let mut backlog = Backlog::default();
    backlog.add(Job::Profiles("p".into()));
    backlog.add(Job::Own(Arc::from(&b"own"[..])));
    backlog.add(Job::Save(RouterHash([1; 32]), Arc::from(&b"one"[..])));
    assert_eq!(backlog.write(&storage).len(), 1);
    assert_eq!(backlog.0.len(), 1, "what was refused stays");
    assert_eq!(fs::read(dir.join(OWN_INFO)).expect("written"), b"own");
    fs::remove_dir_all(dir.join("profiles.txt")).expect("out of the way");
    assert!(backlog.write(&storage).is_empty() && backlog.0.is_empty());
    assert_eq!(fs::read(dir.join(PROFILES)).expect("written"), b"p");
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[tokio::test(start_paused = true)]
async fn k4_a_disk_that_refuses_is_tried_again_and_the_status_says_so() {
    let dir = temp_dir("again");
    let storage = Storage::open(&dir).expect("opens");
    fs::create_dir_all(dir.join("router.info/x")).expect("in the way");
    let (jobs, mut status, tasks) = start(&storage);
    assert!(jobs.send(Job::Own(Arc::from(&b"old"[..]))).await);
    status.wait_for(|s| s.disk.is_some()).await.expect("told");
    assert!(status.borrow().disk.as_ref().is_some_and(|text| text.contains("router.info")));
    assert!(jobs.send(Job::Own(Arc::from(&b"new"[..]))).await);
    fs::remove_dir_all(dir.join("router.info")).expect("out of the way");
    status.wait_for(|s| s.disk.is_none()).await.expect("told");
    assert_eq!(fs::read(dir.join(OWN_INFO)).expect("written"), b"new");
    // What still waits when the router ends is tried once more.
    fs::create_dir_all(dir.join("profiles.txt/x")).expect("in the way");
    assert!(jobs.send(Job::Profiles("p".into())).await);
    status.wait_for(|s| s.disk.is_some()).await.expect("told");
    fs::remove_dir_all(dir.join("profiles.txt")).expect("out of the way");
    drop(jobs);
    tasks.finished().await;
    assert_eq!(fs::read(dir.join(PROFILES)).expect("written"), b"p");
    fs::remove_dir_all(&dir).expect("cleans up");
}
