//! Simulator of the scalable two-population STDP network model on many ranks and threads.
//!
//! Excitatory and inhibitory neurons, random connections of fixed in-degree, plastic
//! synapses from E to E, one Poisson source per neuron: the NEST example of that name
//! (Brunel 2000; Morrison, Aertsen & Diesmann 2007). The same config and seed give
//! bit-identical spikes and weights for any number of ranks and threads.
//!
//! **The loop is [`Simulation::run`].** It runs these phases once per min_delay. They have
//! NEST's names where NEST has the phase. Time spent waiting for other threads is counted as
//! *synchronize*:
//!
//! 1. *deliver*: arrived spikes → [STDP](model::synapse::Law::deliver) → [ring
//!    buffers](model::buffers::RingBuffer); [`Synapses::deliver`]
//! 2. *update*: ring buffers and [external input](model::stimulus::Input) →
//!    [neurons](model::neuron::Neurons::update) → spikes; [`VirtualProcess::update`]
//! 3. *collocate*: writes one entry per spike and target rank; [`Exchange::collocate`]
//! 4. *record*: passes the spikes to each [`Observer`]
//! 5. *communicate*: one MPI_Alltoall for spikes and flags; [`Exchange::exchange`], and the
//!    [protocol](engine::spikes)
//! 6. *receive*: puts received entries into the order of delivery
//!
//! Before the loop, a [`Config`] becomes checked [`Params`], the parameters become a
//! [`Recipe`], and [`Simulation::build`] builds the network. After the loop,
//! [`Outcome`](io::outcome::Outcome) summarizes the run. `ARCHITECTURE.md` explains the
//! folders, `docs/model.md` the model.
//!
//! Programs that use this library need only the *Re-exports* at the end of this page, and
//! [`analysis`] to read results. The modules are for developers of the library.
//!
//! # Example
//!
//! A network of 200 neurons on one rank. Spikes and weights are kept in memory:
//!
//! ```
//! use stdp_hpc::{Comm, Config, DrawnNetwork, Observer, Simulation, Spike};
//!
//! #[derive(Default)]
//! struct Collector(Vec<Spike>);
//!
//! impl Observer for Collector {
//!     fn spikes(&mut self, spikes: &[Spike]) {
//!         self.0.extend(spikes);
//!     }
//! }
//!
//! let config = Config::new()
//!     .set("network.N", 200)
//!     .set("network.K", 20)
//!     .set("neuron.model", "iaf_psc_alpha")
//!     .set("simulation.T", 100.0);
//! let comm = Comm::from_launcher()?; // or Comm::Alone
//! let network = DrawnNetwork::new(config.params(comm.size())?)?;
//! let mut simulation = Simulation::build(comm, network)?;
//! let mut collector = Collector::default();
//! simulation.run(&mut [&mut collector])?;
//!
//! let mut weights = Vec::new();
//! simulation.for_each_weight(0..160, |_source, _target, weight| weights.push(weight));
//! println!("{} spikes of this rank's neurons", collector.0.len());
//! assert!(!collector.0.is_empty());
//! assert_eq!(weights.len(), 160 * 16);
//! # Ok::<(), stdp_hpc::Error>(())
//! ```
//!
//! [`Synapses::deliver`]: engine::delivery::Synapses::deliver
//! [`VirtualProcess::update`]: engine::vp::VirtualProcess::update
//! [`Exchange::collocate`]: engine::spikes::Exchange::collocate
//! [`Exchange::exchange`]: engine::spikes::Exchange::exchange

#[cfg(not(target_pointer_width = "64"))]
compile_error!("stdp-hpc needs a 64-bit machine: u64 and usize must have the same size");

pub mod base;
pub mod cli;
pub mod comm;
pub mod engine;
pub mod io;
pub mod model;
pub mod tools;

pub use base::error::{Error, Result};
pub use base::units::{Gid, Interval, Ms, Steps};
pub use comm::Comm;
pub use engine::{Emitted, Observer, Simulation, Spike};
pub use io::analysis;
pub use io::config::Config;
pub use io::file_network::FileNetwork;
pub use model::network::{Placement, Pool};
pub use model::params::Params;
pub use model::recipe::{DrawnNetwork, ExternalSpikes, Incoming, Initial, Recipe};
