//! The folders of `src/` are those of ARCHITECTURE.md, and imports between them go down only:
//! the engine and what is below it know no file format and no argument parser.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Packages of file formats, figures and arguments, and the lowest folder that may use them.
const FORMATS: [&str; 5] = ["toml", "hdf5", "clap", "plotters", "serde_json"];
const FROM: &str = "io";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders, lowest first, and the rooms of each, from the table.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| folder | room |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut folders: Vec<(String, BTreeSet<String>)> = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = |cell: &str| cell.trim_matches('`').to_owned();
        if !cells[1].is_empty() {
            folders.push((name(cells[1]), BTreeSet::new()));
        }
        let (_, rooms) = folders.last_mut().expect("a folder before its rooms");
        assert!(rooms.insert(name(cells[2])), "twice: {row}");
    }
    folders
}

/// Rooms of the folder at `path`, each a file or a folder, and their files; without its map.
fn rooms(path: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut rooms = BTreeMap::new();
    for entry in fs::read_dir(path).expect("a folder") {
        let path = entry.expect("entry").path();
        let mut files = Vec::new();
        sources(&path, &mut files);
        let room = path.file_stem().expect("a name").to_string_lossy();
        if room != "mod" && !files.is_empty() {
            let known: &mut Vec<PathBuf> = rooms.entry(room.into_owned()).or_default();
            known.extend(files);
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

/// Lines of code of `file`, each with its place.
fn code(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("source");
    let line = |(number, line): (usize, &str)| {
        let code = line.split("//").next().unwrap_or_default().to_owned();
        (format!("{}:{}: {line}", file.display(), number + 1), code)
    };
    text.lines().enumerate().map(line).collect()
}

/// The folder and room that each `crate::folder::room` in `line` names.
fn named(line: &str) -> Vec<[String; 2]> {
    let imports = line.match_indices("crate::").map(|(at, prefix)| {
        let mut names = line[at + prefix.len()..].split("::").map(|name| {
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            name[..end.unwrap_or(name.len())].to_owned()
        });
        [(); 2].map(|()| names.next().unwrap_or_default())
    });
    imports.collect()
}

#[test]
fn every_room_stands_in_the_table() {
    let table = table();
    let mut folders: Vec<&String> = table.iter().map(|(folder, _)| folder).collect();
    folders.sort();
    let found: Vec<String> = fs::read_dir(root().join("src"))
        .expect("src/")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into())
        .collect();
    let found: BTreeSet<String> = found.into_iter().collect();
    assert_eq!(folders, found.iter().collect::<Vec<_>>());
    for (folder, named) in &table {
        let found: BTreeSet<String> = rooms(&root().join("src").join(folder))
            .into_keys()
            .collect();
        assert_eq!(
            &found, named,
            "rooms of {folder}/ in src/ and in ARCHITECTURE.md"
        );
    }
}

#[test]
fn imports_go_down() {
    let table = table();
    let floor = |folder: &str| table.iter().position(|(known, _)| known == folder);
    let mut imports = 0;
    for (height, (folder, _)) in table.iter().enumerate() {
        for (room, files) in rooms(&root().join("src").join(folder)) {
            for (place, line) in files.iter().flat_map(|file| code(file)) {
                for [to, _] in named(&line) {
                    let Some(below) = floor(&to) else {
                        panic!("{place}\nwhich folder is {to:?}?");
                    };
                    imports += 1;
                    assert!(
                        below <= height,
                        "{place}\n{folder}/{room} must not use {to}/, which is above it"
                    );
                }
            }
        }
    }
    assert!(imports > 300, "{imports} imports were found");
}

/// In a folder, rooms may use each other in one direction only.
#[test]
fn rooms_of_a_folder_do_not_use_each_other_in_circles() {
    for (folder, _) in table() {
        let rooms = rooms(&root().join("src").join(&folder));
        let mut uses: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for (room, files) in &rooms {
            let lines = files.iter().flat_map(|file| code(file));
            let named = lines.flat_map(|(_, line)| named(&line));
            let here = named.filter(|[to, other]| *to == folder && other != room);
            uses.insert(room, here.map(|[_, other]| other).collect());
        }
        // Take away what uses nothing that is left, until nothing is.
        while !uses.is_empty() {
            let free = uses.iter().find(|(_, used)| {
                let left = |other: &String| uses.contains_key(other);
                !used.iter().any(left)
            });
            let Some(free) = free.map(|(room, _)| *room) else {
                panic!("rooms of {folder}/ that use each other in a circle: {uses:?}");
            };
            uses.remove(free);
        }
    }
}

#[test]
fn the_engine_and_what_is_below_know_no_file_format() {
    let table = table();
    let below: Vec<_> = table
        .iter()
        .take_while(|(folder, _)| folder != FROM)
        .collect();
    assert_eq!(below.last().expect("folders").0, "engine");
    for (folder, _) in below {
        let mut files = Vec::new();
        sources(&root().join("src").join(folder), &mut files);
        for (place, line) in files.iter().flat_map(|file| code(file)) {
            for format in FORMATS {
                let is_used = line.contains(&format!("{format}::"))
                    || line.contains(&format!("use {format};"));
                assert!(!is_used, "{place}\n{folder}/ must not use {format}");
            }
        }
    }
}
