//! Checks of values that are valid alone but together give numbers outside the range in which a
//! run computes or stores them. They run before anything is built.

use crate::base::error::{Error, Result};

use crate::model::params::{
    MAX_EXPONENT, NeuronModel, Params, Propagators, SimulationParams, VInit, WeightPrecision,
};

use super::reading::Document;

/// Bound on the deviation of a drawn normal number from its mean, in standard deviations. With 53
/// random bits the deviation stays below 9.
const TAIL: f64 = 10.0;

/// Rejects parameters that lead to a number that is not finite, or to a weight that
/// `stdp.weight_precision` cannot hold.
pub(super) fn check(document: &Document, params: &Params) -> Result<()> {
    weight_precision(document, params)?;
    law(document, params)?;
    interconnect(document, params)?;
    if params.neuron.model == NeuronModel::IafPscAlpha {
        neuron(document, params)?;
    }
    Ok(())
}

/// Rejects a time grid on which a time or rate is not finite or underflows to 0.
pub(super) fn check_grid(document: &Document, simulation: &SimulationParams) -> Result<()> {
    let dt = simulation.dt.0;
    let steps = f64::from(simulation.end().0);
    let numbers = [
        ("1000/dt (steps per s)", 1000.0 / dt),
        ("presim + T (ms)", steps * dt),
        (
            "T in seconds, as the divisor of a rate",
            1e15 / (f64::from(simulation.T.0) * dt),
        ),
    ];
    match numbers.into_iter().find(|(_, number)| !is_sound(*number)) {
        None => Ok(()),
        Some((what, number)) => {
            let what = format!("gives {what} = {number:e}, must be a finite number > 0");
            Err(document.section("simulation")?.fault("dt", what))
        }
    }
}

/// Returns whether `number` is finite and did not underflow to 0.
fn is_sound(number: f64) -> bool {
    number.is_finite() && number != 0.0
}

/// Rejects an initial weight of plastic synapses that does not fit 4 bytes if those are chosen.
/// Weights from a file are checked when the file is read.
fn weight_precision(document: &Document, params: &Params) -> Result<()> {
    let weight = params.synapse.I_E;
    let drawn = params.network.edges.is_none();
    if !drawn || params.stdp.weight_precision.holds(weight) {
        return Ok(());
    }
    let table = document.section("synapse")?;
    let key = if table.get("weight").is_some() {
        "weight"
    } else {
        "J_E"
    };
    let what = format!(
        "gives plastic weights of {weight:e} pA, must be {} for stdp.weight_precision = \"f32\"",
        WeightPrecision::F32_RANGE
    );
    Err(table.fault(key, what))
}

/// Rejects STDP parameters with which traces or weight updates could leave the range of doubles.
fn law(document: &Document, params: &Params) -> Result<()> {
    let (stdp, simulation) = (&params.stdp, &params.simulation);
    let table = document.section("stdp")?;
    let dt = simulation.dt.0;
    // With `network.edges`, the delays are read from the file later.
    let drawn = params.synapse.delay.ee;
    if let Some(what) = drawn.and_then(|delay| stdp.too_short(delay.to_ms(simulation.dt))) {
        return Err(table.fault("tau_minus", what));
    }
    let product = stdp.lambda * stdp.alpha;
    let most = f64::MAX / libm::exp(MAX_EXPONENT);
    if product > most {
        let what = format!("gives lambda * alpha = {product:e}, must be at most {most:e}");
        return Err(table.fault("alpha", what));
    }
    // K₊ is largest for a source that fires at every step.
    let steps = f64::from(simulation.end().0);
    let trace = 1.0 + (stdp.tau_plus / dt).min(steps);
    let most = f64::MAX / trace;
    if stdp.lambda >= most {
        let what = format!("must be at most {most:e}, or potentiation leaves the range of doubles");
        return Err(table.fault("lambda", what));
    }
    Ok(())
}

/// Largest latency (µs), and smallest bandwidth (GB/s): slower than any network, and modelled times
/// stay finite.
const SLOWEST_NETWORK: (f64, f64) = (1e9, 1e-9);

/// Rejects an interconnect whose modelled times could be infinite.
fn interconnect(document: &Document, params: &Params) -> Result<()> {
    let interconnect = &params.interconnect;
    let table = document.section("interconnect")?;
    let (latency, bandwidth) = SLOWEST_NETWORK;
    if interconnect.latency > latency {
        return Err(table.fault("latency", format!("must be at most {latency:e} (µs)")));
    }
    if interconnect.bandwidth < bandwidth {
        return Err(table.fault(
            "bandwidth",
            format!("must be at least {bandwidth:e} (GB/s)"),
        ));
    }
    Ok(())
}

/// Rejects constants of `iaf_psc_alpha` for which a propagator or a potential is not finite.
fn neuron(document: &Document, params: &Params) -> Result<()> {
    let (neuron, synapse) = (&params.neuron, &params.synapse);
    let table = document.section("neuron")?;
    let p = Propagators::new(neuron, params.simulation.dt);
    for (key, channel) in [("tau_syn_ex", p.ex), ("tau_syn_in", p.inh)] {
        let numbers = [
            channel.p11,
            channel.p21,
            channel.p31,
            channel.p32,
            channel.jump,
        ];
        let jumps = [synapse.I_E, synapse.I_I, synapse.I_X].map(|weight| weight * channel.jump);
        if !numbers.into_iter().chain(jumps).all(f64::is_finite) {
            let what = format!(
                "gives a step of the synaptic current that is not finite, with tau_m = {:?} ms, \
                 C_m = {:?} pF, dt = {:?} ms and weights of {:e} and {:e} pA",
                neuron.tau_m, neuron.C_m, params.simulation.dt.0, synapse.I_E, synapse.I_I
            );
            return Err(table.fault(key, what));
        }
    }
    let fault = |key, what: &str, value: f64| -> Error {
        let what = format!("gives {what} = {value:e}, must be finite");
        table.fault(key, what)
    };
    for (what, value) in [
        ("the decay of the potential per step", p.p33),
        ("the potential per pA (mV/pA)", p.p30),
    ] {
        if !value.is_finite() {
            return Err(fault("tau_m", what, value));
        }
    }
    let drive = p.p30 * neuron.I_e;
    if !drive.is_finite() {
        return Err(fault("I_e", "a step of the potential (mV)", drive));
    }
    let initial = match neuron.V_init {
        VInit::Uniform(low, high) => [high - low, low - neuron.E_L, high - neuron.E_L],
        VInit::Normal(mean, sd) => [
            TAIL * sd,
            mean - TAIL * sd - neuron.E_L,
            mean + TAIL * sd - neuron.E_L,
        ],
    };
    for (key, values) in [
        ("V_th", vec![neuron.V_th - neuron.E_L]),
        ("V_reset", vec![neuron.V_reset - neuron.E_L]),
        ("V_init", initial.to_vec()),
    ] {
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(fault(key, "a potential relative to E_L (mV)", value));
        }
    }
    Ok(())
}
