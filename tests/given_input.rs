//! Networks and input from files: what they replace does not count, and what of them is not used
//! is told.

mod bench;
mod common;

use common::{Desk, run, text};

/// With `edges` a delay of the config holds for X alone: the default of the others, which does
/// not lie on this grid, neither refuses the run nor shows in run.json.
#[test]
fn delays_of_edges_replace_those_of_the_config() {
    let desk = Desk::new();
    bench::write(&desk.path().join("network.h5"), |file| {
        bench::network(file);
        for name in ["E_to_E", "E_to_I", "I_to_E"] {
            let group = file.group(&format!("edges/{name}")).expect("group");
            bench::put(&group, "0/delay", &[3.0, 3.0]);
        }
        let empty = file.group("edges/I_to_I").expect("group");
        for name in ["source_node_id", "target_node_id"] {
            bench::put::<u64>(&empty, name, &[]);
        }
        for name in ["0/syn_weight", "0/delay"] {
            bench::put::<f64>(&empty, name, &[]);
        }
    });
    let config = desk.config(
        "edges",
        "
[network]
N = 10
edges = \"network.h5\"
[neuron]
model = \"iaf_psc_alpha\"
[synapse]
delay = { X_to_all = 2.0 }
[simulation]
T = 20.0
dt = 1.0
",
    );
    let result = desk.result(&config, 2, 1, &[]).run;
    let asked = &result["parameters"]["synapse"]["delay"];
    for name in ["E_to_E", "E_to_I", "I_to_E", "I_to_I"] {
        assert!(asked[name].is_null(), "{asked}");
    }
    assert!(!asked["X_to_all"].is_null(), "{asked}");
    let held = &result["delay"];
    assert!(held["I_to_I"].is_null(), "{held}");
    for name in ["E_to_E", "E_to_I", "I_to_E"] {
        assert!(!held[name].is_null(), "{held}");
    }
    let plan = run(1, &["plan", text(&config), "--json"]).expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
    assert_eq!(plan["exchange"]["interval_ms"], 3.0);
    let rehearsal = ["dry-run", text(&config), "--ranks", "2", "--quiet"];
    let ignoring = ["--set", "neuron.model=ignore_and_fire"];
    run(1, &[&rehearsal[..], &ignoring].concat()).expect(0);
}
