// SPDX-License-Identifier: MIT
//! Files, bundles, feeds and answers of web servers.

use std::sync::LazyLock;

use super::Target;
use super::input::Input;
use super::people::{Person, Place, WALL_MS, start};
use crate::base::Rng;
use crate::crypto::encrypted_ls::{self, ClientAccess};
use crate::crypto::{PasswordHash, Secret32, X25519Public, X25519Secret, sha256};
use crate::names::{Book, FeedUrl, HostName};
use crate::netdb::Profiles;
use crate::netdb::reseed::{self, Signers, Su3};
use crate::router::http::Receiver;
use crate::router::identity::RouterKeys;
use crate::sam::{PrivateKeys, Users};
use crate::wire::b64;

pub(super) const FORMATS: &[Target] = &[
    ("file_su3", file_su3, su3_seeds),
    ("file_zip", file_zip, zip_seeds),
    ("file_router_keys", file_router_keys, router_key_seeds),
    ("file_private_keys", file_private_keys, private_key_seeds),
    ("file_users", file_users, user_seeds),
    ("file_profiles", file_profiles, profile_seeds),
    ("names_feed", names_feed, feed_seeds),
    ("web_answer", web_answer, web_seeds),
    ("encrypted_layers", encrypted_layers, layer_seeds),
];

/// SU3 containers: a right header around anything, or anything.
pub fn file_su3(data: &[u8]) {
    static SIGNERS: LazyLock<Signers> = LazyLock::new(Signers::bundled);
    let mut input = Input::new(data);
    let mut file = Vec::new();
    if input.flag() {
        let (version, signer) = (16 + input.below(8), 1 + input.below(40));
        let signature = input.pick(&[256usize, 384, 512]);
        let content = input.below(1024);
        file.extend_from_slice(b"I2Psu3\0\0\0\x06");
        file.extend_from_slice(&(signature as u16).to_be_bytes());
        file.extend_from_slice(&[0, version as u8, 0, signer as u8]);
        file.extend_from_slice(&(content as u64).to_be_bytes());
        file.extend_from_slice(&[0, 0, 0, 3]);
        file.extend_from_slice(&[0; 12]);
        file.extend_from_slice(input.rest());
        file.resize(40 + version + signer + content + signature, b'1');
        assert!(file.len() < reseed::BUNDLE_MAX);
    } else {
        file.extend_from_slice(input.rest());
    }
    if let Ok(su3) = Su3::parse(&file) {
        assert!(su3.content().len() < file.len() && !su3.signer().is_empty());
    }
    // Nobody here can sign for one of the operators.
    assert!(reseed::open_su3(&file, &SIGNERS, WALL_MS / 1000, reseed::Origin::File).is_err());
}

fn su3_seeds() -> Vec<Vec<u8>> {
    let mut honest = vec![1, 0, 17, 0, 1, 0, 30];
    honest.extend_from_slice(b"1795305600\0\0\0\0\0\0reseed@diva.exchange");
    vec![honest, b"\0I2Psu3\0\0\0\x06\x02\0\0\x10\0\x05".to_vec()]
}

/// Zip archives, packed here and then damaged, or anything.
pub fn file_zip(data: &[u8]) {
    let mut input = Input::new(data);
    let mut archive = if input.flag() { packed(&mut input) } else { input.rest().to_vec() };
    let damage = !input.is_empty() && input.damage(&mut archive);
    let bundle = reseed::open_zip(&archive);
    if let Ok(bundle) = &bundle {
        assert!(bundle.routers.len() + bundle.skipped <= 2000);
        assert!(bundle.routers.iter().all(|r| r.len() <= 8192));
        assert!(bundle.signer.is_none() && (damage || !bundle.routers.is_empty()));
    }
}

/// An archive with entries as the input has them.
fn packed(input: &mut Input<'_>) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    let count = input.below(5);
    let info = Person::new(1).info("198.18.0.1", "OR");
    for _ in 0..count {
        let honest = input.flag();
        let name = match input.byte() % 4 {
            0 => format!("routerInfo-{}.dat", info.hash().to_base64()),
            1 => "netDb/".into(),
            2 => "router.info".into(),
            _ => String::from_utf8_lossy(input.chunk(32)).into_owned(),
        };
        let content = if honest { info.raw().to_vec() } else { input.chunk(300).to_vec() };
        let (method, bytes) = match input.byte() % 3 {
            0 => (0u16, content.clone()),
            1 => (8, deflate(&content)),
            _ => (8, input.chunk(200).to_vec()),
        };
        let size = if input.byte() < 240 { content.len() as u32 } else { input.u32() };
        let crc = crc32fast::hash(&content);
        let offset = archive.len() as u32;
        let fixed = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[20, 0, 0, 0]);
            out.extend_from_slice(&method.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&crc.to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&size.to_le_bytes());
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(&[0, 0]);
        };
        archive.extend_from_slice(b"PK\x03\x04");
        fixed(&mut archive);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(&bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        fixed(&mut directory);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let start = archive.len() as u32;
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        archive.extend_from_slice(&(count as u16).to_le_bytes());
    }
    archive.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    archive.extend_from_slice(&start.to_le_bytes());
    archive.extend_from_slice(&[0, 0]);
    archive
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_seeds() -> Vec<Vec<u8>> {
    let bytes = vec![1, 3, 1, 0, 0, 0, 1, 2, 1, 0, 0, 1, 1, 0, 0];
    let archive = [vec![0], packed(&mut Input::new(&bytes[1..]))].concat();
    assert_eq!(reseed::open_zip(&archive[1..]).expect("opens").routers.len(), 2);
    vec![bytes, archive]
}

/// The router's key file; with a right checksum as well.
pub fn file_router_keys(data: &[u8]) {
    let mut input = Input::new(data);
    let honest = input.flag();
    let mut file = input.rest().to_vec();
    if honest {
        let sum = sha256(&[&file]);
        file.extend_from_slice(&sum);
    }
    if let Ok(keys) = RouterKeys::from_bytes(&file) {
        assert_eq!(*keys.to_bytes(), file);
        assert_eq!(keys.identity().x25519(), Some(*keys.encryption().public().as_bytes()));
    }
}

fn router_key_seeds() -> Vec<Vec<u8>> {
    let file = RouterKeys::generate(&mut Rng::from_seed(1)).to_bytes();
    vec![[&[0], file.as_slice()].concat(), [&[1], &file[..file.len() - 32]].concat()]
}

/// Private keys of destinations, as SAM clients keep them.
pub fn file_private_keys(data: &[u8]) {
    let mut input = Input::new(data);
    let text = match input.flag() {
        true => b64::encode(input.rest()),
        false => String::from_utf8_lossy(input.rest()).into_owned(),
    };
    let Ok(keys) = PrivateKeys::from_base64(&text) else { return };
    assert_eq!(keys.to_base64(), text);
    assert_eq!(keys.signing().len(), keys.destination().sig_type().private_len());
    match keys.offline() {
        Some(offline) => {
            assert!(keys.signing().iter().all(|b| *b == 0));
            assert_eq!(offline.public.len(), offline.sig_type.public_len());
            assert_eq!(offline.private.len(), offline.sig_type.private_len());
        }
        None => {
            let again = PrivateKeys::new(keys.destination().clone(), keys.signing()).unwrap();
            assert!(PrivateKeys::from_base64(again.to_base64()).is_ok());
        }
    }
    if let Ok(keys) = crate::destination::DestinationKeys::from_base64(&text) {
        assert!(!keys.to_base64().is_empty());
    }
}

fn private_key_seeds() -> Vec<Vec<u8>> {
    let place = Place::new(1);
    let keys = PrivateKeys::new(place.destination.clone(), &*place.signing.seed()).unwrap();
    let offline = [
        vec![1],
        place.destination.as_bytes().to_vec(),
        vec![0; 256 + 32],
        vec![0x70, 0, 0, 0, 0, 7],
        vec![5; 32 + 64 + 32],
    ];
    vec![[vec![0], keys.to_base64().as_bytes().to_vec()].concat(), offline.concat()]
}

/// The file of SAM users.
pub fn file_users(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(users) = Users::parse(&text) {
        let written = users.to_text();
        let again = Users::parse(&written).expect("what was written is read");
        assert_eq!(again.to_text(), written);
        assert!(users.names().eq(again.names()) && users.required() == again.required());
        assert!(users.names().count() <= crate::sam::USERS_MAX);
    }
    if let Some(hash) = text.lines().next().and_then(PasswordHash::parse) {
        assert!(PasswordHash::parse(&hash.to_text()).is_some());
    }
}

fn user_seeds() -> Vec<Vec<u8>> {
    let hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
    let file = format!("samovar-sam-users 1 auth=on\n# note\njoe:{hash}\nann:{hash}\n");
    vec![file.into_bytes(), hash.as_bytes().to_vec()]
}

/// The file of profiles; and what is done with them afterwards.
pub fn file_profiles(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut first = Profiles::new(&mut Rng::from_seed(1));
    let taken = first.load(&text);
    assert!(first.len() <= taken);
    let mut second = Profiles::new(&mut Rng::from_seed(2));
    assert_eq!(second.load(&first.save()), first.len());
    // Numbers are rounded once.
    let written = second.save();
    let mut third = Profiles::new(&mut Rng::from_seed(3));
    assert_eq!((third.load(&written), third.save()), (first.len(), written));
    first.rank(start());
    let again = first.save();
    assert_eq!(second.load(&again), first.len());
}

fn profile_seeds() -> Vec<Vec<u8>> {
    let mut profiles = Profiles::new(&mut Rng::from_seed(1));
    for (n, report) in
        [crate::netdb::Report::Connected, crate::netdb::Report::DialFailed].into_iter().enumerate()
    {
        profiles.report(start(), crate::wire::RouterHash([n as u8; 32]), report);
    }
    vec![profiles.save().into_bytes()]
}

/// A feed of names, with commands that are signed by the right or the wrong one; then out and in again.
pub fn names_feed(data: &[u8]) {
    let mut input = Input::new(data);
    let mut book = Book::new();
    book.set_own(&lines(&mut input));
    let wall_s = WALL_MS / 1000;
    let report = book.add_file("hosts", &lines(&mut input), wall_s);
    assert!(report.conflict_names.len() <= report.conflicts);
    for url in ["http://a.i2p/", "http://b.i2p/hosts.txt", "http://a.i2p/"] {
        book.subscription(url, &lines(&mut input), wall_s);
    }
    if let Ok(name) = HostName::parse(&host(&mut input)) {
        assert!(book.hide(&name) && book.is_hidden(&name));
    }
    for listed in book.list() {
        assert!(book.get(listed.name).is_some());
    }
    let (subscribed, conflicts, removed) =
        (book.subscribed_text(), book.conflicts_text(), book.removed_text());
    let mut again = Book::new();
    again.load(&subscribed, &conflicts, &removed);
    assert_eq!((again.subscribed_text(), again.removed_text()), (subscribed, removed));
    let rest = String::from_utf8_lossy(input.rest()).into_owned();
    again.subscription("http://c.i2p/", &rest, wall_s);
    again.load(&rest, &rest, &rest);
    let _ = (again.export(), again.conflicts(), FeedUrl::parse(rest.trim()));
}

fn host(input: &mut Input<'_>) -> String {
    match input.byte() % 8 {
        n @ 0..=4 => format!("{}.i2p", char::from(b'a' + n)),
        5 => "sub.a.i2p".into(),
        6 => "i2p".into(),
        _ => String::from_utf8_lossy(input.chunk(20)).into_owned(),
    }
}

/// Some lines of a feed.
fn lines(input: &mut Input<'_>) -> String {
    static OWNERS: LazyLock<Vec<Place>> = LazyLock::new(|| (0..4).map(Place::new).collect());
    let mut out = String::new();
    for _ in 0..input.below(6) {
        let owner = &OWNERS[input.below(4)];
        let old = &OWNERS[input.below(4)];
        let name = host(input);
        let mut entry = format!("{name}={}", owner.destination.to_base64());
        let action = input.pick(&[
            "",
            "",
            "changedest",
            "adddest",
            "addname",
            "changename",
            "addsubdomain",
            "update",
            "remove",
            "removeall",
        ]);
        if action.is_empty() {
            out.push_str(&entry);
            out.push('\n');
            continue;
        }
        let mut keys: Vec<(&str, String)> = vec![("action", action.into())];
        if action.starts_with("remove") {
            keys.push(("name", name));
            keys.push(("dest", owner.destination.to_base64()));
            entry.clear();
        }
        if input.byte() < 200 {
            keys.push(("olddest", old.destination.to_base64()));
        }
        if input.byte() < 200 {
            keys.push(("oldname", host(input)));
        }
        if input.flag() {
            keys.push(("date", (WALL_MS / 1000 + u64::from(input.byte()) - 100).to_string()));
        }
        if input.flag() {
            let signer = if input.byte() < 230 { old } else { owner };
            keys.push(("oldsig", b64::encode(&signer.signing.sign(text(&entry, &keys).as_bytes()))));
        }
        let signer = if input.byte() < 230 { owner } else { old };
        keys.push(("sig", b64::encode(&signer.signing.sign(text(&entry, &keys).as_bytes()))));
        out.push_str(&text(&entry, &keys));
        out.push('\n');
    }
    out
}

/// A line with its keys in order.
fn text(entry: &str, keys: &[(&str, String)]) -> String {
    let mut keys = keys.to_vec();
    keys.sort();
    let tail: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{entry}#!{}", tail.join("#"))
}

fn feed_seeds() -> Vec<Vec<u8>> {
    let line = |action: u8| vec![1, 0, 1, 0, action, 0, 0, 1, 1, 120, 1, 0, 0];
    let plain = vec![2, 0, 0, 0, 0, 1, 1, 1, 1];
    let mut all = vec![0, 0];
    all.extend_from_slice(&plain);
    all.extend_from_slice(&line(2));
    (2..9)
        .map(|action| [vec![0, 0], plain.clone(), line(action), line(action)].concat())
        .chain([all])
        .collect()
}

/// Answers of web servers, whole and in pieces.
pub fn web_answer(data: &[u8]) {
    const MAX: usize = 4096;
    let mut input = Input::new(data);
    let cuts = input.array::<4>();
    let bytes = input.rest();
    let whole = {
        let mut receiver = Receiver::new(MAX);
        receiver.push(bytes).and_then(|done| receiver.finish().map(|answer| (done, answer)))
    };
    let mut receiver = Receiver::new(MAX);
    let mut rest = bytes;
    let mut done = Ok(false);
    for cut in cuts.iter().cycle() {
        let (head, tail) = rest.split_at((1 + usize::from(*cut)).min(rest.len()));
        done = receiver.push(head);
        rest = tail;
        if done != Ok(false) || rest.is_empty() {
            break;
        }
    }
    let pieces = done.and_then(|done| receiver.finish().map(|answer| (done, answer)));
    if let (Ok((_, whole)), Ok((_, pieces))) = (&whole, &pieces) {
        assert_eq!(whole, pieces);
        assert!(whole.body.len() <= MAX && (100..600).contains(&whole.status));
    }
    // Bytes behind the end may matter to who gets them all at once, but only those.
    assert!(whole.is_ok() == pieces.is_ok() || !rest.is_empty());
}

fn web_seeds() -> Vec<Vec<u8>> {
    let answer = |text: &str| [vec![7, 1, 99, 3], text.as_bytes().to_vec()].concat();
    vec![
        answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello"),
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\n"),
        answer("HTTP/1.0 301 Moved\r\nLocation: /x\r\n\r\nuntil the end"),
        answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Same\r\nContent-Encoding: gzip\r\n\r\n"),
    ]
}

/// The layers of encrypted lease sets. They have no MAC, so what is damaged reaches the parser.
pub fn encrypted_layers(data: &[u8]) {
    let mut input = Input::new(data);
    let mut rng = Rng::from_seed(1);
    let secret: [u8; 32] = [9; 32];
    let own = X25519Secret::from_bytes(secret).public();
    let others: Vec<X25519Public> = (1..=input.byte() % 4).map(|n| X25519Public([n; 32])).collect();
    let access = match input.byte() % 4 {
        0 => ClientAccess::Everybody,
        1 => ClientAccess::Dh([vec![own], others].concat()),
        2 => ClientAccess::Dh(others),
        _ => ClientAccess::Psk(vec![Secret32::new(secret), Secret32::new([1; 32])]),
    };
    let inner = input.chunk(600);
    let (subcredential, published) = (input.array(), input.u32());
    let mut sealed = encrypted_ls::seal(&mut rng, &subcredential, published, &access, inner);
    let key = input.flag().then_some(&secret);
    let mut damaged = false;
    for _ in 0..input.below(4) {
        damaged |= input.damage(&mut sealed);
    }
    let opened = encrypted_ls::open(&subcredential, published, key, &sealed);
    let invited = match &access {
        ClientAccess::Everybody => true,
        ClientAccess::Dh(keys) => key.is_some() && keys.first() == Some(&own),
        ClientAccess::Psk(_) => key.is_some(),
    };
    match opened {
        Ok(opened) if !damaged => assert!(invited && *opened == inner),
        Ok(opened) => assert!(opened.len() <= sealed.len()),
        Err(why) => {
            assert!(damaged || !invited, "{why}");
            let _ = why.to_string();
        }
    }
}

fn layer_seeds() -> Vec<Vec<u8>> {
    (0..4u8).map(|access| [vec![2, access, 0, 5, 1, 2, 3, 4, 5], vec![7; 36], vec![1, 0]].concat()).collect()
}
