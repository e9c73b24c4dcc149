// For the examples in the documentation of `analysis`, which include it: no module of its own.

/// A directory with the result of a network of 200 neurons after 100 ms, and how many spikes
/// those of E and of I had.
pub fn small_result() -> stdp_hpc::base::error::Result<(tempfile::TempDir, [u64; 2])> {
    use stdp_hpc::io::outcome::{self, Outcome, Provenance, Status};

    let config = r#"
        [network]
        N = 200
        K = 20
        [neuron]
        model = "iaf_psc_alpha"
        [simulation]
        T = 100.0
        [record]
        weights = { at = [0.0, 50.0] }
    "#;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::path::Path::new("example.toml");
    let comm = stdp_hpc::comm::Comm::Alone;
    let params = stdp_hpc::io::config::load(path, config, &[], None, 1)?;
    let provenance = Provenance::new(&comm, &params, "portable");
    let id = outcome::new_id()?;
    let network = stdp_hpc::model::recipe::DrawnNetwork::new(params)?;
    let mut simulation = stdp_hpc::engine::Simulation::build(comm, network)?;
    let mut recorder = stdp_hpc::io::recording::Recorder::new(&simulation, directory.path(), &id)?;
    let timers = simulation.run(&mut [&mut recorder])?;
    let outcome = Outcome::new(&simulation, &timers, 0, recorder.held());
    recorder.close(simulation.comm())?;
    let status = Status::Done(&outcome);
    outcome::write(directory.path(), &id, &provenance, simulation.params(), status)?;
    Ok((directory, simulation.emitted().counts))
}
