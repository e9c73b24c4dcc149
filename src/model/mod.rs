//! The model: neurons, synapses, plasticity and external input.
//!
//! - [`params`]: checked values, in steps; formulas for derived weights and rates
//! - [`recipe`]: description of a network for the engine
//! - [`network`]: placement of neurons and drawing of their sources
//! - [`neuron`]: the two neuron models
//! - [`stimulus`]: external input of the neurons
//! - [`synapse`]: rows of synapses, the STDP law
//! - [`buffers`]: ring buffer and spike history, which link synapses and neurons

pub mod buffers;
pub mod network;
pub mod neuron;
pub mod params;
pub mod recipe;
pub mod stimulus;
pub mod synapse;
