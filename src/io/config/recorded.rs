//! Parameters in run.json: in the units of the config, and separately in steps.
//!
//! `parameters.<table>.<key>` holds the value of the config, or its default; readers need not know
//! the time grid. `parameters_in_steps` repeats the times on the grid in steps, at the same paths.
//! [`read`] also accepts files of older builds.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::base::units::{Grid, Ms, Steps};
use crate::model::params::Params;

use super::keys::{KEYS, Key, Kind};

/// Format of run.json that this build writes. It rises when readers of the format before would
/// misread a file; a new key is no reason.
///
/// Files of format 1 do not state their format and store the times on the grid in steps.
pub const FORMAT: u64 = 2;

/// Units of derived parameters, by JSON pointer.
const DERIVED: [(&str, &str); 4] = [
    ("/synapse/J_unit", "mV/pA"),
    ("/synapse/I_I", "pA"),
    ("/synapse/I_X", "pA"),
    ("/stimulus/poisson/nu_theta", "spikes/s"),
];

/// Returns the JSON pointers of times on the grid; that of a table stands for all its values.
fn on_grid() -> impl Iterator<Item = String> {
    let times = KEYS
        .iter()
        .filter(|key| matches!(key.kind, Kind::Time(..) | Kind::Times));
    times.filter(|key| key.listed).map(Key::pointer)
}

/// Parameters as run.json stores them.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// All parameters, in the units of the config.
    pub parameters: Value,
    /// Times on the grid in steps, at the same paths.
    pub in_steps: Value,
}

impl Params {
    /// Returns these parameters as run.json stores them.
    pub fn recorded(&self) -> Recorded {
        let mut parameters = serde_json::to_value(self).expect("plain data");
        let in_steps = take_steps(&mut parameters, self.simulation.dt);
        Recorded {
            parameters,
            in_steps,
        }
    }
}

/// Reads `T` from the text of a run.json of any format up to [`FORMAT`]; converts older formats.
///
/// # Errors
/// Fails, with a one-line message, if this build does not know the format or the text is invalid.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    match format_of(text)? {
        FORMAT => serde_json::from_str(text),
        _ => serde_json::from_str(text).and_then(|run| serde_json::from_value(upgraded(run))),
    }
    .map_err(|error| format!("is not of a run of stdp-hpc: {error}"))
}

/// Returns whether `id` has the form of a run's id: 32 lowercase hexadecimal digits.
pub fn is_id(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the format of the run.json with this text.
///
/// # Errors
/// Fails, with a one-line message, if the text is not JSON or this build does not know the format.
pub fn format_of(text: &str) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Head {
        format: Option<Value>,
    }
    let foreign = |error| format!("is not of a run of stdp-hpc: {error}");
    let head: Head = serde_json::from_str(text).map_err(foreign)?;
    match head.format {
        None => Ok(1),
        Some(format) => match format.as_u64() {
            Some(known @ 1..=FORMAT) => Ok(known),
            _ => Err(format!(
                "has format {format}, which this build does not know (1 … {FORMAT}): read it with \
                 the build that wrote it, or a newer one"
            )),
        },
    }
}

/// Converts a run.json from format 1 to format 2.
fn upgraded(mut run: Value) -> Value {
    let Some(parameters) = run.get_mut("parameters") else {
        return run;
    };
    let Some(dt) = parameters.pointer("/simulation/dt").and_then(Value::as_f64) else {
        return run;
    };
    let mut in_steps = take_steps(parameters, Ms(dt));
    if let Some(delay) = run.get_mut("delay") {
        in_steps["delay"] = to_ms(delay, Grid::new(Ms(dt)));
    }
    run["format"] = json!(FORMAT);
    run["parameters_in_steps"] = in_steps;
    run
}

/// Converts the times on the grid in `parameters` from steps to ms; returns them in steps.
fn take_steps(parameters: &mut Value, dt: Ms) -> Value {
    let grid = Grid::new(dt);
    let mut all = Value::Object(Map::new());
    for path in on_grid() {
        let Some(value) = parameters.pointer_mut(&path) else {
            continue;
        };
        let steps = to_ms(value, grid);
        if !steps.is_null() {
            let mut keys = path.split('/').skip(1);
            let place = keys.try_fold(&mut all, |place, key| {
                Some(
                    place
                        .as_object_mut()?
                        .entry(key)
                        .or_insert_with(|| json!({})),
                )
            });
            if let Some(place) = place {
                *place = steps;
            }
        }
    }
    all
}

/// Converts every integer in `value` from steps of `grid` to ms. Returns the value in steps,
/// without null entries.
fn to_ms(value: &mut Value, grid: Grid) -> Value {
    let mut before = value.clone();
    if let Value::Object(table) = &mut before {
        table.retain(|_, item| !item.is_null());
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| {
            to_ms(item, grid);
        }),
        Value::Object(table) => table.values_mut().for_each(|item| {
            to_ms(item, grid);
        }),
        Value::Number(number) => {
            let steps = number.as_i64().and_then(|steps| i32::try_from(steps).ok());
            if let Some(steps) = steps {
                *value = json!(Steps(steps).to_ms(grid));
            }
        }
        _ => {}
    }
    before
}

/// Formats the `value` of the parameter at `path`, a JSON pointer, with its unit: `100.3 ms`.
pub fn shown(path: &str, value: &Value) -> String {
    let text = bare(value);
    match unit(path) {
        Some(unit) if !value.is_null() => format!("{text} {unit}"),
        _ => text,
    }
}

/// Returns the unit of the parameter at `path`, if it has one.
fn unit(path: &str) -> Option<&'static str> {
    let within = |outer: &str| {
        let rest = path.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut keys = KEYS.iter().filter(|key| !key.unit.is_empty());
    let of_key = keys.find(|key| within(&key.pointer())).map(|key| key.unit);
    let derived = || DERIVED.iter().find(|(pointer, _)| *pointer == path);
    of_key.or_else(|| derived().map(|(_, unit)| *unit))
}

/// Formats a value as in a config, but a whole float without a fraction: `100`.
fn bare(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(bare).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Returns parameters with time step `dt` (ms) and with every kind of time.
    fn params(dt: &str) -> Params {
        let text = "
            [network]
            N = 100
            K = 10
            [simulation]
            T = 100.5
            presim = 3.5
            [record]
            weights = { at = [0.5, 1.5] }
            [neuron]
            model = \"iaf_psc_alpha\"
            V_init = { normal = [1.0, 2.0] }
        ";
        let set = [format!("simulation.dt={dt}")];
        super::super::load(Path::new("x.toml"), text, &set, None, 1).expect("a good config")
    }

    /// Fails if a time on the grid is neither `Kind::Time` nor `Kind::Times`: it stays in steps.
    #[test]
    fn values_are_those_of_the_config_whatever_the_grid() {
        let [fine, coarse] = ["0.125", "0.5"].map(|dt| {
            let mut recorded = params(dt).recorded();
            recorded.parameters["simulation"]["dt"] = Value::Null;
            recorded.parameters["stimulus"]["poisson"]["mean_per_step"] = Value::Null;
            recorded
        });
        assert_eq!(fine.parameters, coarse.parameters);
        let parameters = &fine.parameters;
        assert_eq!(parameters["simulation"]["T"], 100.5);
        assert_eq!(parameters["neuron"]["t_ref"], 2.0);
        assert_eq!(parameters["synapse"]["delay"]["I_to_E"], 1.5);
        assert_eq!(parameters["record"]["weights"]["at"], json!([0.5, 1.5]));
        let delays = ["E_to_E", "E_to_I", "I_to_E", "I_to_I", "X_to_all"];
        let delays: Map<String, Value> = delays
            .map(|name| (name.to_owned(), json!(3)))
            .into_iter()
            .collect();
        let steps = json!({
            "neuron": {"t_ref": 4},
            "synapse": {"delay": delays},
            "simulation": {"T": 201, "presim": 7},
            "record": {"weights": {"at": [1, 3]}, "weights_over_time": {"every": 200}},
        });
        assert_eq!(coarse.in_steps, steps);
        let tenths = params("0.1").recorded();
        assert_eq!(tenths.parameters["simulation"]["T"], 100.5);
        assert_eq!(tenths.in_steps["simulation"]["T"], 1005);
    }

    #[test]
    fn format_1_is_converted() {
        let params = params("0.1");
        let old = json!({
            "parameters": params,
            "delay": {"E_to_E": 3, "X_to_all": 15},
        });
        let new: Value = read(&old.to_string()).expect("readable");
        let Recorded {
            parameters,
            in_steps,
        } = params.recorded();
        assert_eq!(new["parameters"], parameters);
        assert_eq!(new["delay"], json!({"E_to_E": 0.3, "X_to_all": 1.5}));
        let mut expected = in_steps;
        expected["delay"] = old["delay"].clone();
        assert_eq!(new["parameters_in_steps"], expected);
        let again: Value = read(&new.to_string()).expect("readable");
        assert_eq!(again, new);
    }

    #[test]
    fn formats_that_are_not_known_are_refused() {
        for format in ["3", "0", "\"2\"", "2.0", "-1"] {
            let text = format!("{{\"format\": {format}, \"parameters\": 7}}");
            let error = read::<Value>(&text).expect_err("unknown");
            let known = "which this build does not know (1 … 2): read it with the build";
            assert!(
                error.starts_with(&format!("has format {format}, {known}")),
                "{error}"
            );
        }
    }

    #[test]
    fn values_are_shown_with_their_units() {
        for (path, value, expected) in [
            ("/simulation/T", json!(100.0), "100 ms"),
            ("/simulation/T", json!(100.3), "100.3 ms"),
            ("/synapse/delay/E_to_E", json!(1.5), "1.5 ms"),
            ("/record/weights/at", json!([0.0, 0.3]), "[0, 0.3] ms"),
            ("/neuron/V_init/uniform", json!([0.0, 20.0]), "[0, 20] mV"),
            (
                "/neuron/model",
                json!("ignore_and_fire"),
                "\"ignore_and_fire\"",
            ),
            ("/simulation/seed", json!(u64::MAX), "18446744073709551615"),
            ("/synapse/J_E", Value::Null, "none"),
        ] {
            assert_eq!(shown(path, &value), expected);
        }
    }
}
