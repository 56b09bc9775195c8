// SPDX-License-Identifier: MIT

use super::*;
use crate::crypto::SigningKey;
use crate::wire::{Destination, KeysAndCert, SigType, b64};

const NOW: u64 = 1_700_000_000;
const FEED: &str = "http://feed.i2p/hosts.txt";

/// An owner of names.
pub(crate) struct Owner {
    pub(crate) key: SigningKey,
    pub(crate) destination: Destination,
}

impl Owner {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        let keys = KeysAndCert::build(SigType::Ed25519, &key.public(), 0, &[], [seed; 32]);
        Self { key, destination: Destination::new(keys) }
    }

    pub(crate) fn b64(&self) -> String {
        self.destination.to_base64()
    }

    fn sign(&self, text: &str) -> String {
        b64::encode(&self.key.sign(text.as_bytes()))
    }

    /// `keys` in any order, signed by us, and by `old` inside.
    pub(crate) fn line(&self, entry: &str, keys: &[(&str, &str)], old: Option<&Self>) -> String {
        let mut keys: Vec<(String, String)> =
            keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let text = |keys: &[(String, String)]| {
            let mut sorted = keys.to_vec();
            sorted.sort();
            let tail: Vec<String> = sorted.iter().map(|(k, v)| format!("{k}={v}")).collect();
            if tail.is_empty() { entry.to_owned() } else { format!("{entry}#!{}", tail.join("#")) }
        };
        if let Some(old) = old {
            keys.push(("oldsig".into(), old.sign(&text(&keys))));
        }
        let sig = self.sign(&text(&keys));
        keys.push(("sig".into(), sig));
        let tail: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{entry}#!{}\n", tail.join("#"))
    }

    pub(crate) fn entry(&self, name: &str) -> String {
        format!("{name}={}", self.b64())
    }

    pub(crate) fn change(&self, name: &str, old: &Self) -> String {
        self.line(&self.entry(name), &[("action", "changedest"), ("olddest", &old.b64())], Some(old))
    }

    pub(crate) fn dated(&self, name: &str, old: &Self, date: &str) -> String {
        let keys = [("action", "changedest"), ("date", date), ("olddest", &old.b64())];
        self.line(&self.entry(name), &keys, Some(old))
    }
}

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

fn get(book: &Book, text: &str) -> Option<Destination> {
    book.get(&name(text)).map(|found| found.destination.clone())
}

#[test]
fn names_follow_the_rules_of_the_network() {
    assert_eq!(name("Example.I2P").as_str(), "example.i2p");
    assert_eq!(name("a.example.i2p.alt").as_str(), "a.example.i2p");
    assert!(HostName::parse("xn--bcher-kva.i2p").is_ok());
    let bad = [
        ("example.com", BadName::Suffix),
        ("i2p", BadName::Suffix),
        (".i2p", BadName::Length),
        (&format!("{}.i2p", "a".repeat(64)), BadName::Length),
        ("abc.b32.i2p", BadName::Base32),
        ("a b.i2p", BadName::Shape),
        ("a_b.i2p", BadName::Shape),
        ("a..b.i2p", BadName::Shape),
        ("-a.i2p", BadName::Shape),
        ("a-.i2p", BadName::Shape),
        ("a.-b.i2p", BadName::Shape),
        ("a--b.i2p", BadName::Shape),
        ("\u{e9}.i2p", BadName::Shape),
    ];
    for (text, why) in bad {
        assert_eq!(HostName::parse(text), Err(why), "{text}");
    }
    assert!(name("proxy.i2p").is_reserved() && name("a.proxy.i2p").is_reserved());
    assert!(!name("myproxy.i2p").is_reserved());
    assert!(name("a.b.i2p").is_below(&name("b.i2p")) && !name("ab.i2p").is_below(&name("b.i2p")));
}

#[test]
fn an_own_hosts_file_keeps_the_first_of_each_name_and_shows_the_rest() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let text = format!(
        "# comment\n; another\n\nfirst.i2p={}\r\nFIRST.i2p={}\nsecond.i2p={}#!date=1#sig=x\nbroken\nbad.i2p=abc\nno-suffix={}\n",
        one.b64(),
        two.b64(),
        two.b64(),
        one.b64(),
    );
    let mut book = Book::new();
    book.set_own(&text);
    assert_eq!(get(&book, "first.i2p"), Some(one.destination.clone()));
    assert_eq!(get(&book, "second.i2p"), Some(two.destination.clone()));
    assert_eq!((book.len(), book.unusable()), (2, 3));
    let conflicts = book.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].kept, one.destination.hash());
    assert_eq!(conflicts[0].offered, two.destination);
    assert_eq!(book.by_hash(two.destination.hash()), Some(&two.destination));
}

#[test]
fn own_entries_win_over_files_and_files_over_subscriptions() {
    let (own, file, feed) = (Owner::new(1), Owner::new(2), Owner::new(3));
    let mut book = Book::new();
    book.set_own(&own.entry("a.i2p"));
    book.add_file("f", &format!("{}\n{}", file.entry("a.i2p"), file.entry("b.i2p")), NOW);
    let text = ["a.i2p", "b.i2p", "c.i2p"].map(|n| feed.entry(n)).join("\n");
    assert_eq!(book.subscription(FEED, &text, NOW).added, 3);
    let origins: Vec<Origin> = book.list().map(|l| l.found.origin).collect();
    assert_eq!(origins, [Origin::Own, Origin::File, Origin::Subscription]);
    // What lies below another is shown, not used.
    assert_eq!(book.conflicts().len(), 3);
    let listed = book.export();
    assert_eq!(listed.lines().count(), 3);
    assert!(listed.contains(&own.entry("a.i2p")));
}

#[test]
fn a_feed_never_replaces_without_a_signature() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let mut book = Book::new();
    book.subscription(FEED, &one.entry("a.i2p"), NOW);
    let report = book.subscription("http://other.i2p/", &two.entry("a.i2p"), NOW);
    assert_eq!((report.added, report.conflicts), (0, 1));
    assert_eq!(report.conflict_names, [name("a.i2p")]);
    assert_eq!(get(&book, "a.i2p"), Some(one.destination.clone()));
    let conflicts = book.conflicts();
    assert_eq!(
        (conflicts[0].kept_by.as_str(), conflicts[0].offered_by.as_str()),
        (FEED, "http://other.i2p/")
    );
    assert_eq!(conflicts[0].seen_s, Some(NOW));
    // A feed that does not speak of it changes nothing, nor does one that repeats it.
    book.subscription("http://other.i2p/", &one.entry("x.i2p"), NOW + 1);
    book.subscription("http://other.i2p/", &two.entry("a.i2p"), NOW + 2);
    assert_eq!((book.conflicts().len(), book.conflicts()[0].seen_s), (1, Some(NOW)));
    // The feed gives up: the conflict goes.
    book.subscription("http://other.i2p/", &one.entry("a.i2p"), NOW);
    assert!(book.conflicts().is_empty());
}

#[test]
fn a_change_that_the_old_destination_signed_is_taken_once_and_never_back() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let change = two.change("a.i2p", &one);
    // In any order, with and without the older entry.
    for text in [
        format!("{}\n{change}", one.entry("a.i2p")),
        format!("{change}{}\n", one.entry("a.i2p")),
        change.clone(),
    ] {
        let mut book = Book::new();
        let report = book.subscription(FEED, &text, NOW);
        assert_eq!(get(&book, "a.i2p"), Some(two.destination.clone()));
        assert_eq!((report.unsigned, report.conflicts), (0, 0), "{report:?}");
        // The same again changes nothing, the old entry alone neither.
        for again in [&text, &one.entry("a.i2p")] {
            let report = book.subscription(FEED, again, NOW);
            assert_eq!((report.added, report.changed, report.conflicts), (0, 0, 0), "{report:?}");
        }
        assert_eq!(get(&book, "a.i2p"), Some(two.destination.clone()));
        assert!(book.conflicts().is_empty());
    }
}

#[test]
fn a_change_without_the_right_signatures_is_refused() {
    let (one, two, thief) = (Owner::new(1), Owner::new(2), Owner::new(3));
    let olddest = one.b64();
    let forged = [
        // Signed by the thief in the name of the old destination.
        two.line(&two.entry("a.i2p"), &[("action", "changedest"), ("olddest", &olddest)], Some(&thief)),
        // Without the inner signature.
        two.line(&two.entry("a.i2p"), &[("action", "changedest"), ("olddest", &olddest)], None),
        // The outer one by somebody else.
        thief.line(&two.entry("a.i2p"), &[("action", "changedest"), ("olddest", &olddest)], Some(&one)),
        // Changed afterwards.
        two.change("b.i2p", &one).replace("b.i2p=", "a.i2p="),
        format!("{}#!action=changedest#olddest={olddest}\n", two.entry("a.i2p")),
    ];
    for text in forged {
        let mut book = Book::new();
        book.subscription(FEED, &one.entry("a.i2p"), NOW);
        let report = book.subscription(FEED, &text, NOW);
        assert_eq!((report.changed, report.unsigned), (0, 1), "{text}");
        assert_eq!(get(&book, "a.i2p"), Some(one.destination.clone()));
    }
    // A good change of a destination that the name never had.
    let mut book = Book::new();
    book.subscription(FEED, &thief.entry("a.i2p"), NOW);
    let report = book.subscription(FEED, &two.change("a.i2p", &one), NOW);
    assert_eq!((report.changed, report.conflicts), (0, 1));
    assert_eq!(get(&book, "a.i2p"), Some(thief.destination));
}

#[test]
fn a_chain_of_changes_is_followed_in_any_order_and_not_replayed() {
    let owners: Vec<Owner> = (1..=4).map(Owner::new).collect();
    let dates = ["10", "20", "30"];
    let mut lines: Vec<String> =
        owners.windows(2).zip(dates).map(|(w, date)| w[1].dated("a.i2p", &w[0], date)).collect();
    lines.reverse();
    lines.push(owners[0].entry("a.i2p"));
    let mut book = Book::new();
    book.subscription(FEED, &lines.join("\n"), NOW);
    assert_eq!(get(&book, "a.i2p"), Some(owners[3].destination.clone()));
    // Back to the first, and then the old change once more.
    let back = owners[0].dated("a.i2p", &owners[3], "2000");
    book.subscription(FEED, &back, NOW);
    assert_eq!(get(&book, "a.i2p"), Some(owners[0].destination.clone()));
    for replay in [owners[1].dated("a.i2p", &owners[0], "5"), owners[1].change("a.i2p", &owners[0])] {
        let report = book.subscription(FEED, &replay, NOW);
        assert_eq!((report.changed, report.stale), (0, 1));
    }
}

#[test]
fn names_and_destinations_are_added_by_their_owner() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let mut book = Book::new();
    let text = [
        one.entry("a.i2p") + "\n",
        one.line(&one.entry("b.i2p"), &[("action", "addname"), ("oldname", "a.i2p")], None),
        two.line(&two.entry("a.i2p"), &[("action", "adddest"), ("olddest", &one.b64())], Some(&one)),
        two.line(
            &two.entry("sub.a.i2p"),
            &[("action", "addsubdomain"), ("oldname", "a.i2p"), ("olddest", &one.b64())],
            Some(&one),
        ),
        // Not the owner of the parent.
        two.line(
            &two.entry("no.a.i2p"),
            &[("action", "addsubdomain"), ("oldname", "a.i2p"), ("olddest", &one.b64())],
            Some(&two),
        ),
        // Not below the parent.
        two.line(
            &two.entry("c.i2p"),
            &[("action", "addsubdomain"), ("oldname", "a.i2p"), ("olddest", &one.b64())],
            Some(&one),
        ),
        // Not the owner of the older name.
        two.line(&two.entry("d.i2p"), &[("action", "addname"), ("oldname", "b.i2p")], None),
        one.line(&one.entry("a.i2p"), &[("action", "update"), ("date", "7")], None),
        // Plain and signed, rightly and wrongly.
        two.line(&two.entry("e.i2p"), &[], None),
        two.line(&one.entry("f.i2p"), &[], None),
        one.entry("proxy.i2p"),
        "#!action=nothing#name=a.i2p".into(),
    ];
    let report = book.subscription(FEED, &text.join("\n"), NOW);
    let names: Vec<&str> = book.list().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["a.i2p", "b.i2p", "e.i2p", "sub.a.i2p"]);
    assert_eq!(book.get(&name("a.i2p")).unwrap().also, [two.destination]);
    assert_eq!((report.unsigned, report.unusable), (2, 3), "{report:?}");
}

#[test]
fn renamed_and_removed_names_go_and_stay_away() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let mut book = Book::new();
    let plain = [one.entry("a.i2p"), one.entry("b.i2p"), two.entry("c.i2p")].join("\n");
    book.subscription(FEED, &plain, NOW);
    let rename = one.line(&one.entry("z.i2p"), &[("action", "changename"), ("oldname", "a.i2p")], None);
    book.subscription(FEED, &rename, NOW);
    assert_eq!((get(&book, "a.i2p"), get(&book, "z.i2p")), (None, Some(one.destination.clone())));
    let dest = one.b64();
    let keys = [("action", "remove"), ("name", "b.i2p"), ("dest", dest.as_str())];
    let remove = one.line("", &keys, None);
    assert!(remove.starts_with("#!"));
    // A stranger cannot, the owner can, and the plain entry beside it does not bring it back.
    let report = book.subscription(FEED, &two.line("", &keys, None), NOW);
    assert_eq!((report.removed, report.unsigned), (0, 1));
    for text in [remove.clone(), format!("{plain}\n{remove}"), format!("{remove}{plain}")] {
        book.subscription(FEED, &text, NOW);
        assert_eq!(get(&book, "b.i2p"), None);
    }
    // Its new owner comes in by the same feed.
    let next = format!("{plain}\n{remove}\n{}", two.entry("b.i2p"));
    book.subscription(FEED, &next, NOW);
    assert_eq!(get(&book, "b.i2p"), Some(two.destination.clone()));
    let keys = [("action", "removeall"), ("dest", dest.as_str())];
    book.subscription(FEED, &one.line("", &keys, None), NOW);
    let names: Vec<&str> = book.list().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["b.i2p", "c.i2p"]);
}

#[test]
fn expired_lines_and_broken_ones_change_nothing() {
    let one = Owner::new(1);
    let long = format!("{}#{}", one.entry("long.i2p"), "x".repeat(LINE_MAX));
    let mut lines = vec![
        one.line(&one.entry("old.i2p"), &[("expires", "5")], None),
        format!("{}#!a=1#a=2", one.entry("twice.i2p")),
        format!("{}#!nothing", one.entry("keyless.i2p")),
        "=".into(),
        "#!".into(),
        "a.i2p".into(),
        "a.i2p=".into(),
        long,
    ];
    // Every truncation of a good command.
    let good = one.line(&one.entry("good.i2p"), &[("date", "1")], None);
    let good = good.trim();
    let key_end = one.entry("good.i2p").len();
    lines.extend((key_end + 2..good.len()).map(|cut| good[..cut].to_owned()));
    let mut book = Book::new();
    let report = book.subscription(FEED, &lines.join("\n"), NOW);
    // Cut right behind the mark, nothing is left to sign; in front of it, it is a plain entry.
    assert!(book.len() <= 1, "{:?}", book.export());
    assert_eq!(report.stale, 1);
    assert_eq!(get(&book, "old.i2p"), None);
}

#[test]
fn what_is_written_is_read_again() {
    let (one, two, three) = (Owner::new(1), Owner::new(2), Owner::new(3));
    let mut book = Book::new();
    let text = [
        one.entry("a.i2p") + "\n",
        two.dated("a.i2p", &one, "77"),
        one.entry("b.i2p") + "\n",
        two.line(&two.entry("b.i2p"), &[("action", "adddest"), ("olddest", &one.b64())], Some(&one)),
    ];
    book.subscription(FEED, &text.join("\n"), NOW);
    book.subscription("http://other.i2p/", &three.entry("a.i2p"), NOW);
    assert!(book.hide(&name("b.i2p")));
    let mut again = Book::new();
    again.load(&book.subscribed_text(), &book.conflicts_text(), &book.removed_text());
    assert_eq!(again.subscribed_text(), book.subscribed_text());
    assert_eq!(again.conflicts_text(), book.conflicts_text());
    assert_eq!((again.conflicts(), again.export()), (book.conflicts(), book.export()));
    assert_eq!(get(&again, "b.i2p"), None);
    assert!(again.unhide(&name("b.i2p")));
    assert_eq!(again.get(&name("b.i2p")).unwrap().also, std::slice::from_ref(&two.destination));
    let old = two.dated("a.i2p", &one, "7");
    assert_eq!(again.subscription(FEED, &old, NOW).known, 1);
}

#[test]
fn changes_to_the_own_file_leave_other_lines_alone() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let text = format!("# mine\n{}\n\n# end", one.entry("a.i2p"));
    let (added, change) = put(&text, &name("b.i2p"), &two.destination, false).unwrap();
    assert_eq!((added.clone(), change), (format!("{text}\n{}\n", two.entry("b.i2p")), OwnChange::Added));
    assert_eq!(
        put(&added, &name("b.i2p"), &two.destination, false).unwrap(),
        (added.clone(), OwnChange::Same)
    );
    assert_eq!(put(&text, &name("a.i2p"), &two.destination, false), Err(one.destination.clone()));
    let (replaced, change) = put(&text, &name("a.i2p"), &two.destination, true).unwrap();
    assert_eq!(replaced, format!("# mine\n\n# end\n{}\n", two.entry("a.i2p")));
    assert_eq!(change, OwnChange::Replaced(one.destination));
    assert_eq!(take(&replaced, &name("a.i2p")).unwrap(), "# mine\n\n# end\n");
    assert_eq!(take(&text, &name("b.i2p")), None);
}

#[test]
fn conflicts_are_bounded() {
    let mut book = Book::new();
    let text: String =
        (0..2 * CONFLICTS_MAX).map(|i| Owner::new(1).entry(&format!("n{i}.i2p")) + "\n").collect();
    book.subscription(FEED, &text, NOW);
    let other = text.replace(&Owner::new(1).b64(), &Owner::new(2).b64());
    let report = book.subscription("http://other.i2p/", &other, NOW);
    assert_eq!(report.conflicts, 2 * CONFLICTS_MAX);
    assert_eq!(book.conflicts().len(), CONFLICTS_MAX);
    assert_eq!(report.conflict_names.len(), 10);
}

#[test]
fn addresses_of_feeds_lead_to_sites_on_i2p_alone() {
    let url = FeedUrl::parse("http://Reg.i2p/hosts.txt?x=1").unwrap();
    assert_eq!((url.host(), url.port()), ("reg.i2p", 80));
    let known = Validators::new(Some("\"v1\"".into()), Some("Mon".into()));
    let request = url.request(&known);
    assert!(request.starts_with("GET /hosts.txt?x=1 HTTP/1.1\r\nHost: reg.i2p\r\n"), "{request}");
    assert!(request.contains("\r\nIf-None-Match: \"v1\"\r\nIf-Modified-Since: Mon\r\n"));
    assert!(request.ends_with("\r\n\r\n"));
    assert_eq!(FeedUrl::parse("http://a.i2p:8080").unwrap().port(), 8080);
    assert!(FeedUrl::parse("http://a.i2p?q").unwrap().request(&known).starts_with("GET /?q HTTP"));
    for bad in [
        "https://a.i2p/",
        "http://a.com/",
        "http://.i2p/",
        "http://a.i2p:0/",
        "http://a.i2p:x/",
        "http://u@a.i2p/",
        "http://a.i2p/a b",
        "http://a.i2p/\r\nX: y",
        "a.i2p",
    ] {
        assert!(FeedUrl::parse(bad).is_err(), "{bad}");
    }
    // What could break out of a header stays out of it.
    assert_eq!(Validators::new(Some("a\rb".into()), Some("x".repeat(257))), Validators::default());
}

#[test]
fn subscriptions_are_asked_in_their_time_and_failures_wait_longer() {
    use crate::base::{Mono, Now, Rng};
    use std::time::Duration;
    let hour = Duration::from_secs(3600);
    let at = |s: u64| Now { mono: Mono::from_secs(s), wall_ms: (NOW + s) * 1000 };
    let urls = || ["http://a.i2p/", "http://b.i2p/"].map(|u| FeedUrl::parse(u).unwrap()).to_vec();
    let times = (hour * 12, Duration::from_secs(60));
    let mut schedule = Schedule::new(urls(), "", times, at(0), Rng::from_seed(1));
    assert_eq!(schedule.due(at(59)), None);
    let (url, known) = schedule.due(at(121)).unwrap();
    assert_eq!(known, Validators::default());
    let mut last = Duration::ZERO;
    for failures in 1..12 {
        let wait = schedule.done(at(121), &url, Outcome::Failed);
        assert!(wait >= last / 2 && wait >= Duration::from_secs(300) && wait <= hour * 14, "{wait:?}");
        assert_eq!(schedule.failures(&url), failures);
        last = wait;
    }
    assert!(last >= hour * 12);
    let validators = Validators::new(Some("v1".into()), Some("yesterday".into()));
    let wait = schedule.done(at(200), &url, Outcome::Fetched(validators.clone()));
    assert!((hour * 12..=hour * 14).contains(&wait));
    assert_eq!(schedule.failures(&url), 0);
    // After a restart an hour later it rests on, and gives back what it was told.
    let mut again = Schedule::new(urls(), &schedule.to_text(), times, at(3800), Rng::from_seed(2));
    let (other, _) = again.due(at(3800 + 121)).unwrap();
    assert_ne!(other, url);
    again.done(at(4000), &other, Outcome::Unchanged);
    assert_eq!(again.due(at(200 + 12 * 3600 - 1)), None);
    assert_eq!(again.due(at(200 + 12 * 3600 + 121)).unwrap(), (url, validators));
    // A clock that was ahead when it was written.
    let ahead = format!("url http://a.i2p/\nchecked {}\n", NOW * 2);
    let late = Schedule::new(urls(), &ahead, times, at(0), Rng::from_seed(3));
    assert!(late.next().unwrap() <= Mono::from_secs(12 * 3600 + 120));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_a_feed_does_not_matter_nor_does_taking_it_twice(seed in 0u64..u64::MAX) {
        let owners: Vec<Owner> = (1..=4).map(Owner::new).collect();
        let dest = owners[3].b64();
        let remove = [("action", "remove"), ("name", "gone.i2p"), ("dest", dest.as_str())];
        let mut lines = [
            owners[0].entry("a.i2p"),
            owners[0].entry("b.i2p"),
            owners[3].entry("gone.i2p"),
            owners[1].dated("a.i2p", &owners[0], "10"),
            owners[2].dated("a.i2p", &owners[1], "20"),
            owners[0].line(&owners[0].entry("c.i2p"), &[("action", "addname"), ("oldname", "b.i2p")], None),
            owners[0].line(&owners[0].entry("d.i2p"), &[("action", "addname"), ("oldname", "c.i2p")], None),
            owners[3].line("", &remove, None),
            owners[1].line(
                &owners[1].entry("s.a.i2p"),
                &[("action", "addsubdomain"), ("oldname", "a.i2p"), ("olddest", &owners[2].b64())],
                Some(&owners[2]),
            ),
        ];
        crate::base::Rng::from_seed(seed).shuffle(&mut lines);
        let text = lines.join("\n");
        let mut book = Book::new();
        book.subscription(FEED, &text, NOW);
        let names: Vec<&str> = book.list().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["a.i2p", "b.i2p", "c.i2p", "d.i2p", "s.a.i2p"]);
        assert_eq!(get(&book, "a.i2p"), Some(owners[2].destination.clone()));
        let before = (book.subscribed_text(), book.conflicts());
        let report = book.subscription(FEED, &text, NOW + 1);
        assert_eq!((book.subscribed_text(), book.conflicts()), before);
        assert_eq!((report.added, report.changed, report.unsigned), (0, 0, 0));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[ -~\n#!=]{0,400}") {
        let mut book = Book::new();
        book.set_own(&text);
        book.add_file("f", &text, NOW);
        book.subscription(FEED, &text, NOW);
        book.load(&text, &text, &text);
    }
}

#[test]
fn a_destination_is_not_added_to_itself() {
    let owner = Owner::new(1);
    let keys = [("action", "adddest"), ("olddest", &owner.b64())];
    let text = owner.line(&owner.entry("a.i2p"), &keys, Some(&owner));
    let mut book = Book::new();
    let report = book.subscription(FEED, &text, NOW);
    assert_eq!((book.len(), report.added, report.changed), (0, 0, 0));
}
