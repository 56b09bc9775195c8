// SPDX-License-Identifier: MIT
//! The command's reader of configuration files, which is no part of the library, with as much of the command around
//! it as it needs.
#![allow(dead_code, reason = "the command uses more of this than we do")]

#[path = "../../src/cli/access.rs"]
mod access;
#[path = "../../src/cli/file.rs"]
mod file;
#[path = "../../src/cli/settings.rs"]
mod settings;
#[path = "../../src/cli/system.rs"]
mod system;

use samovar::router::RouterConfig;

enum Failure {
    User(String),
    Runtime(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

/// Reads a file's text and what follows from it; a complaint is one line.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match file::parse(&text) {
        Ok(settings) => {
            let mut config = RouterConfig::default();
            settings.relative_to(std::path::Path::new("/data")).apply(&mut config);
            if let Err(error) = config.validate() {
                assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            }
        }
        Err(problem) => {
            assert!(problem.starts_with("line ") && !problem.chars().any(char::is_control), "{problem:?}");
        }
    }
}

/// The file that the command prints, with every setting in force, and some settings alone.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = file::default_text();
    let plain: String = all.lines().filter_map(|l| l.strip_prefix("# ")).map(|l| format!("{l}\n")).collect();
    let some = "sam = \"none\"\nhost = [\"203.0.113.5\"]\nport = 17001\nbandwidth = \"X\"\nfloodfill = true\n";
    vec![all.into_bytes(), plain.into_bytes(), some.as_bytes().to_vec()]
}
