"""Decides; no clock, file, process or library in sight.

Read in this order: times, streams, records, consequences, script_text, contract, config_params,
printed_error, loss, metrics, schedule, gc_paused, decisions, plan_state, plan, known, places,
repeats, rebuild, simulation, pace, estimate, summary, execution, exit_error, attempt_states,
failure_causes, verdict, gpu, gpu_health, derived, streak, outages, limits.
"""
