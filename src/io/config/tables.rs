//! Conversion of each table of a config into its struct, and checks across keys.

use toml::Value;

use crate::base::error::{Error, Result};
use crate::base::units::{Ms, Projection, Steps};
use crate::comm::interconnect::InterconnectParams;
use crate::model::params::derive::{self, part};
use crate::model::params::{
    Delays, MAX_EVENTS_PER_STEP, MAX_PERIOD, NetworkParams, NeuronModel, NeuronParams, Params,
    RecordParams, SimulationParams, StdpParams, Stimulus, SynapseParams, UnitPsp, VInit,
    WeightRecord, WeightSampling,
};

use super::keys::{Kind, MAX_STEPS, MAX_TRAJECTORIES};
use super::range;
use super::reading::{Document, Section};

/// Reads all tables in order of dependence: a table may need those before it.
pub(super) fn params(document: &Document, threads: Option<usize>, ranks: usize) -> Result<Params> {
    let simulation = simulation(&document.section("simulation")?, threads)?;
    range::check_grid(document, &simulation)?;
    let network = network(&document.section("network")?, ranks)?;
    let neuron = neuron(document, simulation.dt)?;
    let synapse = synapse(document, &network, &neuron, simulation.dt)?;
    let stdp = stdp(&document.section("stdp")?)?;
    let stimulus = stimulus(
        &document.section("stimulus")?,
        &neuron,
        synapse.I_X,
        simulation.dt,
    )?;
    let record = record(document, &network, &simulation)?;
    let interconnect = interconnect(&document.section("interconnect")?)?;
    let params = Params {
        network,
        neuron,
        synapse,
        stdp,
        stimulus,
        simulation,
        record,
        interconnect,
    };
    range::check(document, &params)?;
    Ok(params)
}

fn simulation(table: &Section, threads: Option<usize>) -> Result<SimulationParams> {
    let dt = Ms(table.number("dt")?);
    if table.get("T").is_none() {
        return Err(table.table_fault("T", "is missing: the model time to record, > 0 (ms)"));
    }
    let presim = table.time("presim", dt)?;
    Ok(SimulationParams {
        T: table.time_in("T", dt, 1..=MAX_STEPS - presim.0)?,
        presim,
        dt,
        tics_per_step: table.integer("tics_per_step")? as u32,
        seed: table.integer("seed")? as u64,
        threads: thread_count(table, threads)?,
    })
}

/// Returns the threads per rank: from the command line, else from the config.
fn thread_count(table: &Section, threads: Option<usize>) -> Result<usize> {
    let configured = table.integer("threads")? as usize;
    let Kind::Integer(_, most) = table.known("threads").kind else {
        unreachable!("a number of threads is an integer");
    };
    match threads {
        Some(n) if n == 0 || n > most as usize => Err(Error::input(format!(
            "--threads {n}: must be an integer 1 … {most}"
        ))),
        given => Ok(given.unwrap_or(configured)),
    }
}

#[allow(non_snake_case)]
fn network(table: &Section, ranks: usize) -> Result<NetworkParams> {
    let (N, N_per_rank) = neurons(table, ranks)?;
    let beta = table.number("beta")?;
    let edges = table.file("edges")?;
    let K = match edges {
        Some(_) => no_draw(table)?,
        None => table.integer("K")? as u32,
    };
    let (N_E, K_E) = (part(beta, N), part(beta, K));
    let network = NetworkParams {
        N,
        N_per_rank,
        N_E,
        N_I: N - N_E,
        K,
        K_E,
        K_I: K - K_E,
        beta,
        allow_autapses: table.switch("allow_autapses")?,
        allow_multapses: table.switch("allow_multapses")?,
        edges,
    };
    check_pool(table, &network, ("K_E", K_E), ("N_E", N_E))?;
    check_pool(table, &network, ("K_I", network.K_I), ("N_I", network.N_I))?;
    Ok(network)
}

/// Returns K for a network from `edges`, which is 0. Fails if a key for drawn connections is given.
fn no_draw(table: &Section) -> Result<u32> {
    for key in ["K", "allow_autapses", "allow_multapses"] {
        if table.get(key).is_some() {
            let what = "and edges are both given: edges replaces the draw";
            return Err(table.table_fault(key, what));
        }
    }
    Ok(0)
}

/// Returns N, given directly or as `N_per_rank` times `ranks`, and `N_per_rank` if given.
fn neurons(table: &Section, ranks: usize) -> Result<(u32, Option<u32>)> {
    const MOST: u32 = u32::MAX;
    match table.only_one(&["N", "N_per_rank"])? {
        None => Err(table.table_fault(
            "N",
            format!("or N_per_rank is missing: the number of neurons, 1 … {MOST}"),
        )),
        Some("N") => Ok((table.integer("N")? as u32, None)),
        Some(key) => {
            let each = table.integer(key)? as u32;
            let all = u32::try_from(ranks)
                .ok()
                .and_then(|ranks| ranks.checked_mul(each))
                .ok_or_else(|| {
                    let what = format!("times {ranks} ranks must be at most {MOST} neurons");
                    table.fault(key, what)
                })?;
            Ok((all, Some(each)))
        }
    }
}

/// Rejects an in-degree that the source population cannot supply.
///
/// Without autapses, the pool of a target in the same population excludes the target itself.
fn check_pool(
    table: &Section,
    network: &NetworkParams,
    (in_degree, k): (&str, u32),
    (population, n): (&str, u32),
) -> Result<()> {
    let (pool, shown) = match n {
        0 => (0, format!("{population} = 0")),
        _ if network.allow_autapses => (n, format!("{population} = {n}")),
        _ => {
            let others = n - 1;
            let shown = format!("{population} − 1 = {others} (allow_autapses = false)");
            (others, shown)
        }
    };
    let what = if k > 0 && pool == 0 {
        format!("{in_degree} = {k} must be 0: nobody to draw from, {shown}")
    } else if k > pool && !network.allow_multapses {
        format!("{in_degree} = {k} without multapses must be at most {shown}")
    } else {
        return Ok(());
    };
    Err(table.fault("K", what))
}

#[allow(non_snake_case)]
fn neuron(document: &Document, dt: Ms) -> Result<NeuronParams> {
    let table = document.section("neuron")?;
    let V_th = table.number("V_th")?;
    let V_reset = table.number("V_reset")?;
    if V_reset >= V_th {
        let what = format!("must be < V_th = {V_th:?} (mV)");
        return Err(table.fault("V_reset", what));
    }
    let model = table.choice("model")?;
    let initial = table.file("initial")?;
    let ignoring = document.section("neuron.ignore_and_fire")?;
    let ranges_count = model == NeuronModel::IgnoreAndFire && initial.is_none();
    Ok(NeuronParams {
        model,
        E_L: table.number("E_L")?,
        C_m: table.number("C_m")?,
        tau_m: table.number("tau_m")?,
        t_ref: refractory_time(&table, model, dt)?,
        V_th,
        V_reset,
        tau_syn_ex: table.number("tau_syn_ex")?,
        tau_syn_in: table.number("tau_syn_in")?,
        I_e: table.number("I_e")?,
        V_init: initial_potential(document, &table)?,
        rate: rates(&ignoring, ranges_count, dt)?,
        phase: phases(&ignoring)?,
        initial,
    })
}

/// Returns the refractory time. `ignore_and_fire` does not use it: a given value must still be on
/// the time grid, but the default may be off it (`None`).
fn refractory_time(table: &Section, model: NeuronModel, dt: Ms) -> Result<Option<Steps>> {
    let time = table.time("t_ref", dt);
    if model == NeuronModel::IgnoreAndFire && table.get("t_ref").is_none() {
        return Ok(time.ok());
    }
    time.map(Some)
}

fn initial_potential(document: &Document, neuron: &Section) -> Result<VInit> {
    const FORMS: &str = "must be { uniform = [low, high] } or { normal = [mean, SD] } (mV)";
    match neuron.get("V_init") {
        None => return Ok(neuron.default("V_init")),
        Some(value) if value.is_table() => {}
        Some(_) => return Err(neuron.fault("V_init", FORMS)),
    }
    let table = document.section("neuron.V_init")?;
    match table.only_one(&["uniform", "normal"])? {
        None => Err(neuron.fault("V_init", FORMS)),
        Some("uniform") => {
            let [low, high] = ordered(&table, "uniform")?;
            Ok(VInit::Uniform(low, high))
        }
        Some(key) => {
            let [mean, sd] = table.pair(key)?;
            if sd < 0.0 {
                return Err(table.fault(key, "SD must be ≥ 0 (mV)"));
            }
            Ok(VInit::Normal(mean, sd))
        }
    }
}

/// Returns the range [low, high] at `key`. Fails unless low ≤ high.
fn ordered(table: &Section, key: &str) -> Result<[f64; 2]> {
    let [low, high] = table.pair(key)?;
    if low > high {
        return Err(table.fault(key, "low must be ≤ high"));
    }
    Ok([low, high])
}

/// Returns the range of rates. The maximum is one spike per step, the minimum one spike per
/// `MAX_PERIOD` steps. The default is only checked if `counts` is set.
fn rates(table: &Section, counts: bool, dt: Ms) -> Result<[f64; 2]> {
    let [low, high] = ordered(table, "rate")?;
    if !counts && table.get("rate").is_none() {
        return Ok([low, high]);
    }
    let one_a_step = 1000.0 / dt.0;
    let what = if low <= 0.0 {
        "must be > 0 (spikes/s)".to_owned()
    } else if high > one_a_step {
        format!("must be at most one spike per step, {one_a_step} spikes/s")
    } else if one_a_step / low > f64::from(MAX_PERIOD) {
        let least = one_a_step / f64::from(MAX_PERIOD);
        format!("must be at least one spike in 2^30 steps, {least:e} spikes/s")
    } else {
        return Ok([low, high]);
    };
    Err(table.fault("rate", what))
}

fn phases(table: &Section) -> Result<[f64; 2]> {
    let [low, high] = ordered(table, "phase")?;
    if low <= 0.0 || high > 1.0 {
        return Err(table.fault("phase", "must be > 0 and ≤ 1 (of a period)"));
    }
    Ok([low, high])
}

#[allow(non_snake_case)]
fn synapse(
    document: &Document,
    network: &NetworkParams,
    neuron: &NeuronParams,
    dt: Ms,
) -> Result<SynapseParams> {
    let table = document.section("synapse")?;
    let unit_psp = table.choice("unit_psp")?;
    let g = table.number("g")?;
    let (J_E, J_unit, I_E) = match table.only_one(&["J_E", "weight"])? {
        Some("weight") => (None, None, table.number("weight")?),
        _ => {
            let J_E = table.number("J_E")?;
            let J_unit = unit_potential(&table, neuron, unit_psp)?;
            (Some(J_E), Some(J_unit), J_E / J_unit)
        }
    };
    if !I_E.is_finite() || (I_E == 0.0 && J_E.is_some_and(|amplitude| amplitude > 0.0)) {
        let what = format!("gives the weight {I_E} pA, must be finite and > 0");
        return Err(table.fault("J_E", what));
    }
    if !(g * I_E).is_finite() {
        let what = format!(
            "gives the inhibitory weight {} pA, must be finite",
            -g * I_E
        );
        return Err(table.fault("g", what));
    }
    Ok(SynapseParams {
        J_E,
        J_unit,
        unit_psp,
        g,
        I_E,
        I_I: -g * I_E,
        I_X: I_E,
        delay: delays(document, &table, network, dt)?,
    })
}

/// Returns J_unit (mV/pA) by the chosen formula.
fn unit_potential(table: &Section, neuron: &NeuronParams, by: UnitPsp) -> Result<f64> {
    let (tau_m, tau_s) = (neuron.tau_m, neuron.tau_syn_ex);
    match by {
        UnitPsp::Maximum => Ok(derive::unit_psp_maximum(tau_m, tau_s, neuron.C_m)),
        UnitPsp::NestExample => {
            derive::unit_psp_nest_example(tau_m, tau_s, neuron.C_m).ok_or_else(|| {
                let a = tau_s / tau_m;
                let what = format!(
                    "is defined where a·e^a ≤ 1/e for a = tau_syn_ex/tau_m, that is \
                     a ≤ 0.2784…; a is {a}"
                );
                table.fault("unit_psp", what)
            })
        }
    }
}

/// Returns the delays. With `edges`, recurrent delays are `None`, and a key for a single one of
/// them is an error. Otherwise a recurrent delay is `None` if the config does not set it and the
/// network draws no synapses of the projection.
fn delays(
    document: &Document,
    synapse: &Section,
    network: &NetworkParams,
    dt: Ms,
) -> Result<Delays> {
    let table = synapse.get("delay").is_some_and(Value::is_table);
    let table = table
        .then(|| document.section("synapse.delay"))
        .transpose()?;
    let recurrent = |projection: Projection| -> Result<Option<Steps>> {
        let (table, key) = match &table {
            Some(table) => (table, projection.name()),
            None => (synapse, "delay"),
        };
        let given = table.get(key).is_some();
        if network.edges.is_some() {
            if given && key != "delay" {
                let what = "and [network] edges are both given: edges bring their own delays, \
                            only X_to_all counts";
                return Err(table.table_fault(key, what));
            }
            return Ok(None);
        }
        let drawn = given || network.draws(projection);
        drawn.then(|| table.time(key, dt)).transpose()
    };
    Ok(Delays {
        ee: recurrent(Projection::EE)?,
        ei: recurrent(Projection::EI)?,
        ie: recurrent(Projection::IE)?,
        ii: recurrent(Projection::II)?,
        x: match &table {
            Some(table) => table.time("X_to_all", dt)?,
            None => synapse.time("delay", dt)?,
        },
    })
}

fn stdp(table: &Section) -> Result<StdpParams> {
    Ok(StdpParams {
        alpha: table.number("alpha")?,
        lambda: table.number("lambda")?,
        mu_plus: table.number("mu_plus")?,
        tau_plus: table.number("tau_plus")?,
        tau_minus: table.number("tau_minus")?,
        weight_precision: table.choice("weight_precision")?,
    })
}

#[allow(non_snake_case)]
fn stimulus(table: &Section, neuron: &NeuronParams, I_X: f64, dt: Ms) -> Result<Stimulus> {
    let given = table.only_one(&["eta", "rate", "spikes"])?;
    if let Some(spikes) = table.file("spikes")? {
        return Ok(Stimulus::Spikes(spikes));
    }
    let key = given.unwrap_or("eta");
    let (eta, nu_theta, rate) = if key == "rate" {
        let rate = table.number("rate")?;
        (None, None, rate)
    } else {
        let eta = table.number("eta")?;
        let nu_theta = threshold_rate(table, neuron, I_X)?;
        (Some(eta), Some(nu_theta), eta * nu_theta)
    };
    let mean_per_step = rate * dt.0 / 1000.0;
    if mean_per_step > MAX_EVENTS_PER_STEP || !mean_per_step.is_finite() {
        let what = format!(
            "gives {mean_per_step} events per neuron and step, must be at most {MAX_EVENTS_PER_STEP}"
        );
        return Err(table.fault(key, what));
    }
    Ok(Stimulus::Poisson {
        eta,
        nu_theta,
        rate,
        mean_per_step,
    })
}

/// Returns ν_θ (spikes/s). Fails unless the threshold is above rest and the weight is positive.
#[allow(non_snake_case)]
fn threshold_rate(table: &Section, neuron: &NeuronParams, I_X: f64) -> Result<f64> {
    let theta = neuron.V_th - neuron.E_L;
    let what = if theta <= 0.0 {
        format!(
            "is relative to a threshold above rest, V_th − E_L = {theta:?} mV must be > 0; \
             give rate (spikes/s) instead"
        )
    } else if I_X == 0.0 {
        "is relative to input that reaches threshold, the weight must be > 0; \
         give rate (spikes/s) instead"
            .to_owned()
    } else {
        let (tau_m, tau_s) = (neuron.tau_m, neuron.tau_syn_ex);
        return Ok(derive::threshold_rate(theta, neuron.C_m, I_X, tau_m, tau_s));
    };
    Err(table.fault("eta", what))
}

fn record(
    document: &Document,
    network: &NetworkParams,
    simulation: &SimulationParams,
) -> Result<RecordParams> {
    let table = document.section("record")?;
    let weights = weight_record(&table, network, simulation)?;
    let over_time = weight_sampling(&table, network, simulation.dt)?;
    Ok(RecordParams {
        spikes: table.switch("spikes")?,
        n_rec: table.count("n_rec", network.N)?,
        compression: table.integer("compression")? as u8,
        // Both are written to weights.h5, which only exists if `weights` is recorded.
        weights_over_time: over_time.filter(|_| weights.is_some()),
        weights,
    })
}

fn weight_record(
    record: &Section,
    network: &NetworkParams,
    simulation: &SimulationParams,
) -> Result<Option<WeightRecord>> {
    let Some(table) = record.switched("weights")? else {
        return Ok(None);
    };
    let end = simulation.end().0;
    Ok(Some(WeightRecord {
        at: table.times("at", simulation.dt, 0..=end)?,
        targets: table.count("targets", network.N_E)?,
        sources: table.count("sources", network.N_E)?,
        target_to_source: table.switch("target_to_source")?,
    }))
}

/// Returns the sampling of weights over time. By default it counts about 16,000 synapses, or one in
/// 256 if that is more. This takes about 1 % of the time of a network that fires at 1 spike/s.
fn weight_sampling(
    record: &Section,
    network: &NetworkParams,
    dt: Ms,
) -> Result<Option<WeightSampling>> {
    let Some(table) = record.switched("weights_over_time")? else {
        return Ok(None);
    };
    let every: f64 = table.default("every");
    let nearest = Steps((every / dt.0).round().clamp(1.0, MAX_STEPS.into()) as i32);
    let neurons = network.N_E.max(1);
    let in_degree = match network.edges {
        Some(_) => network.N_E / 10, // an estimate: the file is not read yet
        None => network.K_E,
    };
    let synapses = u64::from(network.N_E) * u64::from(in_degree);
    let one_in = (synapses >> 14).clamp(1, 256).min(neurons.into());
    let most_trajectories = network.N_E.min(MAX_TRAJECTORIES);
    let trajectories = most_trajectories.min(table.default("trajectories"));
    Ok(Some(WeightSampling {
        every: match table.get("every") {
            None => nearest,
            Some(_) => table.time("every", dt)?,
        },
        bins: table.integer("bins")? as u32,
        max: table.number("max")?,
        one_in: table.integer_in("one_in", one_in as i64, 1..=neurons.into())? as u32,
        trajectories: table.integer_in(
            "trajectories",
            trajectories.into(),
            0..=most_trajectories.into(),
        )? as u32,
    }))
}

/// Returns the model of the interconnect.
///
/// The defaults are of the order of a fat tree of HDR InfiniBand. A port has 200 Gbit/s each way
/// (InfiniBand Trade Association, HDR on four lanes); here a single rank uses it. A short MPI
/// message takes 1 to 2 µs across the switches of a large tree.
fn interconnect(table: &Section) -> Result<InterconnectParams> {
    Ok(InterconnectParams {
        latency: table.number("latency")?,
        bandwidth: table.number("bandwidth")?,
        algorithm: table.choice("algorithm")?,
    })
}
