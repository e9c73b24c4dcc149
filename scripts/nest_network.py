#!/usr/bin/env python3
"""Builds the network of a run.json of stdp-hpc in NEST, runs it, and prints costs and results as
one JSON object with the names of run.json.

Parameters and model time are the same, random numbers are NEST's: connections, input and initial
state agree with those of stdp-hpc only in distribution. NEST is set up for speed and memory, as
its users would do: _hpc synapse models, one per weight and delay with both as defaults, and
recording of at most 1000 neurons per population.
"""

import argparse
import json
import os
import sys
import time

sys.dont_write_bytecode = True  # no __pycache__ in the repository
import run_record  # noqa: E402 pylint: disable=wrong-import-position

SYNAPSES_READ = 200_000  # approximate number of plastic weights read, on at most TARGETS neurons
TARGETS = 200
RECORDED = 1000  # maximum number of recorded neurons per population
BATCHES = 10  # number of time batches for the error of the mean rates


def memory(field):
    """Returns memory of this process (bytes): VmHWM is the peak, VmRSS the current value."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", help="run.json of the run to repeat")
    parser.add_argument("--threads", type=int, help="else as many as that run had")
    parser.add_argument("--seed", type=int, help="else that run's; NEST takes 1 … 2^32 − 1")
    parser.add_argument(
        "--plain", action="store_true", help="not the _hpc variants of NEST's synapse models"
    )
    return parser.parse_args()


def parameters(path):
    """Returns the parameters of a run, with times in ms."""
    try:
        run = run_record.read(path)
    except run_record.UnknownFormat as error:
        sys.exit(f"{path}: {error}")
    p = run["parameters"]
    for table, key in [("network", "edges"), ("neuron", "initial")]:
        if p[table][key] is not None:
            sys.exit(f"{path}: {table}.{key}: networks from files are not rebuilt here")
    if "poisson" not in p["stimulus"]:
        sys.exit(f"{path}: stimulus.spikes: input from files is not rebuilt here")
    delays = p["synapse"]["delay"].items()
    p["synapse"]["delay"] = {name: delay for name, delay in delays if delay is not None}
    p["simulation"]["threads"] = run["provenance"]["threads"]
    return p


class Network:
    """Network in NEST; `wall` holds the wall time of every phase (s), measured from outside."""

    def __init__(self, nest, p, suffix):
        self.nest, self.p, self.suffix = nest, p, suffix
        self.wall = {}
        self.static_models = {}

    def timed(self, phase, work, *args):
        start = time.perf_counter()
        result = work(*args)
        self.wall[phase] = time.perf_counter() - start
        return result

    def recorded(self, population):
        """Returns the number of recorded neurons of a population; they are its first."""
        return min(RECORDED, self.p["network"][f"N_{population}"])

    def uniform(self, bounds):
        low, high = bounds
        return low if low == high else self.nest.random.uniform(low, high)

    def create(self):
        """Creates neurons, the Poisson generator and the spike recorders."""
        nest, neuron, network = self.nest, self.p["neuron"], self.p["network"]
        params = {"tau_minus": self.p["stdp"]["tau_minus"]}
        if neuron["model"] == "iaf_psc_alpha":
            for key in ["E_L", "C_m", "tau_m", "t_ref", "V_th", "V_reset", "I_e"]:
                params[key] = neuron[key]
            params |= {key: neuron[key] for key in ["tau_syn_ex", "tau_syn_in"]}
            ((kind, values),) = neuron["V_init"].items()
            if kind == "uniform":
                params["V_m"] = self.uniform(values)
            else:
                params["V_m"] = nest.random.normal(mean=values[0], std=values[1])
        else:
            params |= {key: self.uniform(neuron[key]) for key in ["rate", "phase"]}
        self.neurons = {
            name: nest.Create(neuron["model"], network[f"N_{name}"], params=params)
            for name in "EI"
            if network[f"N_{name}"] > 0
        }
        rate = self.p["stimulus"]["poisson"]["rate"]
        self.generator = nest.Create("poisson_generator", params={"rate": rate})
        self.recorders = {name: nest.Create("spike_recorder") for name in self.neurons}

    def model(self, base, name, params):
        self.nest.CopyModel(base + self.suffix, name, params)
        return name

    def static_model(self, weight, delay):
        """Returns the shared synapse model with this weight (pA) and delay (ms)."""
        key = (weight, delay)
        if key not in self.static_models:
            name = f"static_{len(self.static_models)}"
            self.static_models[key] = self.model(
                "static_synapse", name, {"weight": weight, "delay": delay}
            )
        return self.static_models[key]

    def connect(self):
        nest, network, synapse, stdp = (self.nest, *map(self.p.get, ["network", "synapse", "stdp"]))
        delay = synapse["delay"]
        plastic = {
            "weight": synapse["I_E"],
            "delay": delay["E_to_E"],
            "lambda": stdp["lambda"],
            "alpha": stdp["alpha"],
            "mu": stdp["mu_plus"],
            "tau_plus": stdp["tau_plus"],
        }
        models = {"E_to_E": self.model("stdp_pl_synapse_hom", "plastic", plastic)}
        for projection, weight in [("E_to_I", "I_E"), ("I_to_E", "I_I"), ("I_to_I", "I_I")]:
            models[projection] = self.static_model(synapse[weight], delay[projection])
        for projection, model in models.items():
            source, target = projection.split("_to_")
            indegree = network[f"K_{source}"]
            if indegree == 0 or not {source, target} <= self.neurons.keys():
                continue
            rule = {
                "rule": "fixed_indegree",
                "indegree": indegree,
                "allow_autapses": network["allow_autapses"],
                "allow_multapses": network["allow_multapses"],
            }
            pair = self.neurons[source], self.neurons[target]
            nest.Connect(*pair, rule, {"synapse_model": model})
        external = self.static_model(synapse["I_X"], delay["X_to_all"])
        for name, neurons in self.neurons.items():
            nest.Connect(self.generator, neurons, syn_spec={"synapse_model": external})
            nest.Connect(neurons[: self.recorded(name)], self.recorders[name])

    def run(self):
        """Runs all phases and sets `spikes` to the number of spikes after the warm-up.

        Returns the wall time of the warm-up (s).
        """
        simulation = self.p["simulation"]
        self.timed("construction_create", self.create)
        self.timed("construction_connect", self.connect)
        self.timed("communicate_prepare", self.nest.Prepare)
        if simulation["presim"] > 0.0:
            self.nest.Run(simulation["presim"])
        warm_up = self.nest.GetKernelStatus("time_simulate")
        self.timed("simulate", self.nest.Run, simulation["T"])
        self.spikes = self.nest.local_spike_counter  # restarts with every Run
        return warm_up

    def kernel_timers(self, warm_up):
        """Returns NEST's timers of the phases (s); `simulate` excludes the warm-up."""
        status = self.nest.GetKernelStatus()
        names = ["construction_create", "construction_connect", "communicate_prepare", "simulate"]
        timers = {name: float(max_of(status["time_" + name])) for name in names}
        timers["simulate"] -= warm_up
        return timers

    def synapses(self):
        """Returns the numbers of plastic and static synapses, without input and recorders."""
        network = self.p["network"]
        in_e, in_i = network["N_E"] * network["K_E"], network["N_I"] * network["K_E"]
        return in_e, in_i + network["N"] * network["K_I"]

    def rates(self, np):
        """Returns the mean rates (spikes/s) of E, I (recorded neurons only) and all.

        `se_subset` is the standard error from the choice of neurons, by the scatter between
        neurons; `se_network` that from the choice of the network, by the scatter between time
        batches. (Both include the randomness of single spikes, which is conservative: `se_network`
        alone, from few batches, is sometimes much too small.)
        """
        simulation, network = self.p["simulation"], self.p["network"]
        span, rates = simulation["T"], {}
        se_subset = se_network = 0.0
        for name, neurons in self.neurons.items():
            events = self.recorders[name].events
            late = events["times"] > simulation["presim"] + simulation["dt"] / 2
            count = self.recorded(name)
            of_neuron = np.bincount(events["senders"][late] - neurons[0].global_id, minlength=count)
            edges = np.linspace(simulation["presim"], simulation["presim"] + span, BATCHES + 1)
            of_batch = np.histogram(events["times"][late], edges + simulation["dt"] / 2)[0]
            per_second = 1000.0 / span
            rate = {
                "value": of_neuron.sum() / count * per_second,
                "part": count / network[f"N_{name}"],
                "se_subset": standard_error(of_neuron * per_second),
                "se_network": 0.0,
            }
            if self.p["neuron"]["model"] != "ignore_and_fire":  # its neurons fire independently
                of_batch = of_batch / count * BATCHES * per_second
                rate["se_network"] = standard_error(of_batch)
            rates[name] = rate
            share = network[f"N_{name}"] / network["N"]
            se_subset += (share * rate["se_subset"]) ** 2 * rate["part"]
            se_network += share * rate["se_network"]
        rates["all"] = {
            "value": self.spikes / network["N"] / span * 1000.0,
            "part": 1.0,
            "se_subset": se_subset**0.5,
            "se_network": se_network,
        }
        return rates

    def weights(self, np, rate):
        """Returns mean, SD (pA) and zero fraction of the plastic weights onto the first E neurons.

        Errors are from a delete-one-group jackknife, over targets for `se_subset`, over groups of
        sources for `se_network`. `se_network` also includes the effect of fluctuations of the mean
        `rate` of E on all weights: weights change with the product of two rates.
        """
        network = self.p["network"]
        if network["K_E"] == 0 or "E" not in self.neurons:
            return None
        number = min(TARGETS, network["N_E"], max(10, SYNAPSES_READ // network["K_E"]))
        chosen = self.neurons["E"][:number]
        edges = self.nest.GetConnections(target=chosen, synapse_model="plastic")
        columns = edges.get(["source", "target", "weight"])
        source, target, weight = (
            np.asarray(columns[key]) for key in ["source", "target", "weight"]
        )

        def statistics(of):
            return np.array([of.mean(), of.std(), (of == 0.0).mean()])

        def jackknife(groups):
            names = np.unique(groups)
            left = np.array([statistics(weight[groups != name]) for name in names])
            return np.sqrt((len(names) - 1) * left.var(axis=0))

        values = statistics(weight)
        by_target, by_source = jackknife(target), jackknife(source % 40)
        relative = rate["se_network"] / rate["value"] if rate["value"] > 0.0 else 0.0
        grown = values - [self.p["synapse"]["I_E"], 0.0, 0.0]
        by_rate = 2.0 * relative * grown
        return {
            name: {
                "value": float(values[i]),
                "part": number / network["N_E"],
                "se_subset": float(by_target[i]),
                "se_network": float(np.hypot(by_source[i], by_rate[i])),
            }
            for i, name in enumerate(["mean", "sd", "zero_fraction"])
        }


def max_of(value):
    """Returns a timer's value, the maximum if it has one per thread."""
    return max(value) if hasattr(value, "__len__") else value


def standard_error(sample):
    """Returns the standard error of the mean of independent values."""
    return float(sample.std(ddof=1) / len(sample) ** 0.5) if len(sample) > 1 else 0.0


def main():
    options = arguments()
    p = parameters(options.run)
    # Output of NEST goes to stderr; stdout is for the result.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ.setdefault("PYNEST_QUIET", "1")
    import nest  # pylint: disable=import-outside-toplevel
    import numpy as np  # pylint: disable=import-outside-toplevel

    nest.verbosity = nest.VerbosityLevel.ERROR
    threads = options.threads or p["simulation"]["threads"]
    kernel = {
        "resolution": p["simulation"]["dt"],
        "local_num_threads": threads,
        "rng_seed": options.seed or max(1, p["simulation"]["seed"] % 2**32),
    }
    # Periods of ignore_and_fire are rounded to tics; use as many per step as in the run.
    tics = p["simulation"].get("tics_per_step", 128) / p["simulation"]["dt"]
    if tics.is_integer():
        kernel["tics_per_ms"] = int(tics)
    nest.set(**kernel)
    before = memory("VmRSS")
    network = Network(nest, p, "" if options.plain else "_hpc")
    warm_up = network.run()
    peak = memory("VmHWM")
    timers = network.kernel_timers(warm_up)
    nest.Cleanup()
    rates = network.rates(np)
    plastic, static = network.synapses()
    synapses = plastic + static
    json.dump(
        {
            "provenance": {
                "program": "NEST " + nest.__version__,
                "threads": threads,
                "synapses": "plain" if options.plain else "_hpc",
            },
            "counts": {
                "neurons": p["network"]["N"],
                "synapses_plastic": plastic,
                "synapses_static": static,
                "spikes": network.spikes,
            },
            "rates": rates,
            "weights": network.weights(np, rates.get("E")),
            "wall_time": timers,
            "wall_time_from_outside": network.wall,
            "model_time_ms": p["simulation"]["T"],
            "memory": {
                "before": before,
                "peak_per_rank": peak,
                "per_synapse": (peak - before) / synapses if synapses else None,
            },
        },
        result,
        indent=1,
        default=float,
    )
    result.write("\n")
    result.close()


if __name__ == "__main__":
    main()
