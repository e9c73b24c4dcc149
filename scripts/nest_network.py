#!/usr/bin/env python3
"""Builds in NEST the network that a run.json of stdp-hpc describes, runs it, and prints what
it cost and what came of it: one JSON object, with run.json's names.

The same parameters and model time, NEST's own random numbers: connections, input and initial
state agree with stdp-hpc's in distribution, not one by one. NEST gets what its users would
give it for speed and memory: the _hpc synapse models, one per weight and delay with both as
defaults, and no recording beyond some hundred neurons.
"""

import argparse
import json
import os
import sys
import time

sys.dont_write_bytecode = True  # no __pycache__ in the repository
import run_record  # noqa: E402 pylint: disable=wrong-import-position

SYNAPSES_READ = 200_000  # about so many plastic weights are read, on at most TARGETS neurons
TARGETS = 200
RECORDED = 1000  # neurons of either population whose spikes are recorded
BATCHES = 10  # of time, for the error of the mean rates


def memory(field):
    """A memory figure of this process (bytes): VmHWM is the peak, VmRSS the present."""
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
    """The parameters of a run, times in ms."""
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
    """The network in NEST; `wall` collects the seconds of every phase, measured from outside."""

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
        """How many neurons of a population are recorded: its first."""
        return min(RECORDED, self.p["network"][f"N_{population}"])

    def uniform(self, bounds):
        low, high = bounds
        return low if low == high else self.nest.random.uniform(low, high)

    def create(self):
        """Neurons, the Poisson generator and the spike recorders."""
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
        """The synapse model with this weight (pA) and delay (ms), one for all that share it."""
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
        """All phases; afterwards `spikes` counts those after the warm-up.

        Returns the seconds that the warm-up took.
        """
        simulation = self.p["simulation"]
        self.timed("construction_create", self.create)
        self.timed("construction_connect", self.connect)
        self.timed("communicate_prepare", self.nest.Prepare)
        if simulation["presim"] > 0.0:
            self.nest.Run(simulation["presim"])
        warm_up = self.nest.GetKernelStatus("time_simulate")
        self.timed("simulate", self.nest.Run, simulation["T"])
        self.spikes = self.nest.local_spike_counter  # which begins anew with every Run
        return warm_up

    def kernel_timers(self, warm_up):
        """NEST's own timers of the phases (s); that of `simulate` ran in the warm-up, too."""
        status = self.nest.GetKernelStatus()
        names = ["construction_create", "construction_connect", "communicate_prepare", "simulate"]
        timers = {name: float(max_of(status["time_" + name])) for name in names}
        timers["simulate"] -= warm_up
        return timers

    def synapses(self):
        """Number of plastic and static synapses, external input and recorders not counted."""
        network = self.p["network"]
        in_e, in_i = network["N_E"] * network["K_E"], network["N_I"] * network["K_E"]
        return in_e, in_i + network["N"] * network["K_I"]

    def rates(self, np):
        """Mean rates (spikes/s) of E, I (of the recorded neurons) and all.

        `se_subset` is the standard error by the choice of neurons, from the scatter between
        them; `se_network` that of any network of the kind, from the scatter between stretches
        of time. (The chance of single spikes is in both, which errs on the safe side: the
        latter alone, from few stretches, is now and then much too small.)
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
            if self.p["neuron"]["model"] != "ignore_and_fire":  # which fire independently
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
        """Mean, SD (pA) and fraction at zero of the plastic weights onto the first neurons of E.

        Errors by delete-one-group jackknife: over the targets for `se_subset`, over groups of
        sources for `se_network`. To the latter comes what the fluctuation of the mean `rate` of
        E does to all weights at once: they change with the product of two rates.
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
    """A timer's value: some are one per thread."""
    return max(value) if hasattr(value, "__len__") else value


def standard_error(sample):
    """Of the mean of an array of independent values."""
    return float(sample.std(ddof=1) / len(sample) ** 0.5) if len(sample) > 1 else 0.0


def main():
    options = arguments()
    p = parameters(options.run)
    # Whatever NEST prints goes to stderr; stdout is for the result.
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
    # Periods of ignore_and_fire are rounded to tics, here to as many a step as in the run.
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
