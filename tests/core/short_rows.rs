//! Short rows are delivered by other code than long ones; the numbers are the same.

use stdp_hpc::base::units::Gid;
use stdp_hpc::engine::delivery::Synapses;
use stdp_hpc::{Comm, Config, DrawnNetwork, Observer, Simulation, Spike};

#[derive(Default)]
struct Spikes(Vec<Spike>);

impl Observer for Spikes {
    fn spikes(&mut self, spikes: &[Spike]) {
        self.0.extend(spikes);
    }
}

/// Spikes (stamp, gid), and weights by source and target, as bits; whether rows are short; number of
/// threads that hold rows of their own.
type Run = (Vec<(i32, u32)>, Vec<(u32, u32, u64)>, bool, usize);

fn run(config: &Config, threads: i64) -> Run {
    let config = config.clone().set("simulation.threads", threads);
    let network = DrawnNetwork::new(config.params(1).expect("good")).expect("no files");
    let mut simulation = Simulation::build(Comm::Alone, network).expect("built");
    let mut spikes = Spikes::default();
    simulation.run(&mut [&mut spikes]).expect("done");
    let mut spikes: Vec<_> = spikes.0.iter().map(|s| (s.stamp.0, s.gid.0)).collect();
    spikes.sort_unstable();
    let mut weights = Vec::new();
    let mut add = |Gid(source), Gid(target), weight: f64| {
        weights.push((source, target, weight.to_bits()));
    };
    simulation.for_each_weight(0..u32::MAX, &mut add);
    weights.sort_unstable();
    let (_, synapses, sources) = simulation.into_parts();
    let short = synapses.iter().all(Synapses::has_short_rows);
    (spikes, weights, short, sources.len())
}

/// Rows of 40 E targets on one thread; several threads take whole rows, as each would have few
/// synapses of a row. Some neurons fire so often that a synapse
/// has more postsynaptic spikes in its window than the record of the history holds.
#[test]
fn the_length_of_rows_does_not_show() {
    for (model, precision, tau_syn_in) in [
        ("ignore_and_fire", "f64", 2.0),
        ("ignore_and_fire", "f32", 2.0),
        ("iaf_psc_alpha", "f64", 0.5),
    ] {
        let config = Config::new()
            .set("network.N", 82_500)
            .set("network.K", 50)
            .set("neuron.model", model)
            .set("neuron.tau_syn_in", tau_syn_in)
            .set("neuron.ignore_and_fire.rate", vec![2.0, 100.0])
            .set("synapse.delay.E_to_E", 2.0)
            .set("synapse.delay.I_to_E", 3.0)
            .set("stdp.weight_precision", precision)
            .set("stimulus.eta", 1.8)
            .set("simulation.T", 120.0);
        let (spikes, weights, short, _) = run(&config, 1);
        assert!(!short && spikes.len() > 500, "{} spikes", spikes.len());
        let initial = config.params(1).expect("good").synapse.I_E;
        let as_before =
            |weight: &&(u32, u32, u64)| (f64::from_bits(weight.2) - initial).abs() < 1e-3;
        let as_before = weights.iter().filter(as_before).count();
        assert!(
            as_before < weights.len() / 2,
            "{as_before} weights have not moved"
        );
        for threads in [16, 24] {
            let other = run(&config, threads);
            assert_eq!(other.3, threads as usize, "each has rows of its own");
            let case = format!("{model} {precision} {threads}");
            assert!(other.0 == spikes, "{case}: spikes differ");
            assert!(other.1 == weights, "{case}: weights differ");
        }
    }
}
