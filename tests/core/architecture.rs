//! The house is as ARCHITECTURE.md says: every room stands in its table of floors, and imports
//! go to lower floors only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Floor by room, from the table.
fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| floor | room |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut floors = BTreeMap::new();
    for row in rows {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let floor = cells.next().and_then(|cell| cell.parse().ok());
        let room = cells.next().map(|cell| cell.trim_matches('`').to_owned());
        let (Some(floor), Some(room)) = (floor, room) else {
            panic!("not a floor and a room: {row}");
        };
        assert_eq!(floors.insert(room, floor), None, "twice: {row}");
    }
    floors
}

/// Rooms of the source and their files; `lib.rs` only lists them.
fn rooms() -> BTreeMap<String, Vec<PathBuf>> {
    let mut rooms = BTreeMap::new();
    for entry in fs::read_dir(root().join("src")).expect("src/") {
        let path = entry.expect("entry").path();
        let mut files = Vec::new();
        sources(&path, &mut files);
        let room = path.file_stem().expect("a name").to_string_lossy();
        if room != "lib" && !files.is_empty() {
            rooms.insert(room.into_owned(), files);
        }
    }
    rooms
}

fn sources(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            sources(&entry.expect("entry").path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        files.push(path.to_owned());
    }
}

/// The rooms that a line of code names.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut names = Vec::new();
    for prefix in ["crate::", "stdp_hpc::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            names.push(name.into_iter().next().unwrap_or_default().to_owned());
        }
    }
    names
}

#[test]
fn every_room_has_its_floor() {
    let (floors, rooms) = (floors(), rooms());
    assert!(floors.len() > 20, "the table was not found: {floors:?}");
    let in_table: Vec<&String> = floors.keys().collect();
    let in_source: Vec<&String> = rooms.keys().collect();
    assert_eq!(in_table, in_source, "rooms in ARCHITECTURE.md and in src/");
}

#[test]
fn imports_go_down() {
    let floors = floors();
    let mut imports = 0;
    for (room, files) in rooms() {
        for file in files {
            let text = fs::read_to_string(&file).expect("source");
            for (number, line) in text.lines().enumerate() {
                for name in named(line) {
                    if name == room {
                        continue;
                    }
                    imports += 1;
                    let place = format!("{}:{}: {line}", file.display(), number + 1);
                    let floor = floors
                        .get(&name)
                        .unwrap_or_else(|| panic!("{place}\nwhich room is that? One `use` a room"));
                    assert!(
                        *floor < floors[&room],
                        "{place}\n{room} (floor {}) must not use {name} (floor {floor})",
                        floors[&room]
                    );
                }
            }
        }
    }
    assert!(imports > 100, "{imports} imports were found");
}
