//! Simulator of the scalable two-population STDP network model on many ranks and threads.
//!
//! Excitatory and inhibitory neurons, random connections of fixed in-degree, plastic
//! synapses from E to E, a Poisson source for every neuron: NEST's example of that name
//! (Brunel 2000; Morrison, Aertsen & Diesmann 2007). The same config and seed give the same
//! spikes and weights, bit for bit, however the network is split over ranks and threads.
//!
//! **The loop is [`Simulation::run`].** Once per min_delay, these phases, by NEST's
//! names where it has them; waiting for the other threads is timed as *synchronize*:
//!
//! 1. *deliver*: arrived spikes → [STDP](synapse::Law::deliver) → [ring
//!    buffers](buffers::RingBuffer); [`VirtualProcess::deliver`]
//! 2. *update*: ring buffers and [external input](stimulus::Input) →
//!    [neurons](neuron::Neurons::update) → spikes; [`VirtualProcess::update`]
//! 3. *collocate*: one entry per spike and listening rank; [`Exchange::collocate`]
//! 4. *record*: spikes to whoever observes the run; [`Observer`]
//! 5. *communicate*: one MPI_Alltoall for spikes and flags; [`Exchange::exchange`], and the
//!    [protocol](spikes)
//! 6. *receive*: received entries into the order of delivery
//!
//! Before the loop, [`Params::load`] makes checked numbers of a config and
//! [`Simulation::build`] a network of those; after it, [`Outcome`] sums up. The command line
//! is [`cli`]. `ARCHITECTURE.md` explains the rooms, `docs/model.md` the model.
//!
//! # Example
//!
//! A network of 200 neurons on one rank, whose spikes and weights go to no file:
//!
//! ```
//! use std::path::Path;
//! use stdp_hpc::comm::Comm;
//! use stdp_hpc::engine::{Observer, Simulation, Spike};
//! use stdp_hpc::params::Params;
//! use stdp_hpc::recipe::DrawnNetwork;
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
//! let config = r#"
//!     [network]
//!     N = 200
//!     K = 20
//!     [neuron]
//!     model = "iaf_psc_alpha"
//!     [simulation]
//!     T = 100.0
//! "#;
//! let comm = Comm::alone();
//! // The path is for messages; nothing is read.
//! let params = Params::load(Path::new("example.toml"), config, &[], None, comm.size())?;
//! let mut simulation = Simulation::build(comm, DrawnNetwork::new(params)?)?;
//! let mut collector = Collector::default();
//! let timers = simulation.run(&mut [&mut collector])?;
//!
//! let mut weights = Vec::new();
//! simulation.for_each_weight(0..160, |_source, _target, weight| weights.push(weight));
//! println!("{} spikes, digest {}", collector.0.len(), simulation.emitted().digest);
//! assert!(!collector.0.is_empty() && timers.model == 100.0);
//! assert_eq!(weights.len(), 160 * 16);
//! # Ok::<(), stdp_hpc::error::Error>(())
//! ```
//!
//! [`Simulation::run`]: engine::Simulation::run
//! [`Simulation::build`]: engine::Simulation::build
//! [`VirtualProcess::deliver`]: vp::VirtualProcess::deliver
//! [`VirtualProcess::update`]: vp::VirtualProcess::update
//! [`Exchange::collocate`]: spikes::Exchange::collocate
//! [`Exchange::exchange`]: spikes::Exchange::exchange
//! [`Observer`]: engine::Observer
//! [`Params::load`]: params::Params::load
//! [`Outcome`]: outcome::Outcome

pub mod allocator;
pub mod analysis;
pub mod buffers;
pub mod cli;
pub mod comm;
pub mod comm_bench;
pub mod console;
pub mod cores;
pub mod digest;
pub mod engine;
pub mod error;
pub mod figure;
pub mod file_network;
pub mod files;
pub mod interconnect;
pub mod lock;
pub mod math;
pub mod memory;
pub mod network;
pub mod neuron;
pub mod outcome;
pub mod pages;
pub mod params;
pub mod per_thread;
pub mod plan;
pub mod recipe;
pub mod recording;
pub mod rehearsal;
pub mod report;
pub mod rng;
pub mod signals;
pub mod simd;
pub mod sizes;
pub mod sonata;
pub mod spikes;
pub mod stimulus;
pub mod study;
pub mod synapse;
pub mod units;
pub mod vp;
