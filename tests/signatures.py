"""The public names with their arguments, written a second time.

`tests/test_contract.py` compares them with the code, so that no edit changes one
unnoticed. A default that is a function is written as its name.
"""

from jaxnets._version import __version__
from tests.cells import EVERY, GATED, INIT, SCAN


POOL = (
    "strides=None, padding='VALID', padding_mode='zeros', window_dilation=1, "
    "ceil_mode=False"
)
BIASED = "bias_init=zeros, dtype=None, param_dtype=float32, rngs"

SIGNATURES = {
    "jaxnets": [
        "Plan(backend, choices)",
        "plan(function, /, *arguments, platform=None, **options)",
    ],
    "functional": [
        "conv(x, kernel, bias=None, *, strides=1, padding='SAME', "
        "padding_mode='zeros', input_dilation=1, kernel_dilation=1, "
        "feature_group_count=1, precision=None, preferred_element_type=None, "
        "implementation=None)",
        "conv_transpose(x, kernel, bias=None, *, strides=1, padding='SAME', "
        "output_padding=0, kernel_dilation=1, feature_group_count=1, precision=None, "
        "implementation=None)",
        "depthwise_conv(x, kernel, bias=None, *, strides=1, padding='SAME', "
        "padding_mode='zeros', kernel_dilation=1, precision=None, "
        "preferred_element_type=None, implementation=None)",
        "separable_conv(x, depthwise_kernel, pointwise_kernel, bias=None, *, "
        "strides=1, padding='SAME', padding_mode='zeros', kernel_dilation=1, "
        "precision=None, implementation=None)",
        "causal_conv(x, kernel, bias=None, *, state=None, kernel_dilation=1, "
        "feature_group_count=1, precision=None, implementation=None)",
        "unfold(x, window_shape, *, strides=1, padding='VALID', padding_mode='zeros', "
        "window_dilation=1)",
        "fold(patches, spatial_shape, window_shape, *, strides=1, padding='VALID', "
        "window_dilation=1)",
        f"max_pool(x, window_shape, *, {POOL}, implementation=None)",
        f"sum_pool(x, window_shape, *, {POOL}, implementation=None)",
        f"avg_pool(x, window_shape, *, {POOL}, count_include_pad=True, divisor=None, "
        "implementation=None)",
        f"lp_pool(x, window_shape, *, p=2.0, {POOL}, implementation=None)",
        f"logsumexp_pool(x, window_shape, *, {POOL}, implementation=None)",
        f"max_pool_with_indices(x, window_shape, *, {POOL})",
        "max_unpool(y, indices, spatial_shape)",
        "adaptive_max_pool(x, output_shape)",
        "adaptive_avg_pool(x, output_shape)",
        "fractional_max_pool(x, window_shape, output_shape, *, key=None, samples=None)",
        "batch_norm(x, scale=None, bias=None, mean=None, var=None, *, epsilon=1e-05, "
        "axis_name=None)",
        "global_max_pool(x, *, spatial_ndim=None, keepdims=False)",
        "global_avg_pool(x, *, spatial_ndim=None, keepdims=False)",
        "global_sum_pool(x, *, spatial_ndim=None, keepdims=False)",
        "ConvLSTMParams(w_xh, w_hh, b, peephole=None)",
        "init_conv_lstm(key, in_features, hidden, kernel_size, *, "
        "recurrent_kernel_size=None, forget_bias=1.0, peephole_shape=None, "
        f"{INIT}, dtype=float32)",
        f"conv_lstm(params, x, state=None, *, {GATED}, {SCAN})",
        *(signature for family in EVERY for signature in family.functions),
        "crelu(x)",
        "ShapedActivation(activation, input_scale=1.0, input_shift=0.0, "
        "output_scale=1.0, output_shift=0.0)",
        "dks(activation, depth, *, slope=1.5)",
        "tat(activation, depth, *, curvature=0.3)",
        "tat_leaky_relu(depth, *, correlation=0.9)",
        "delta_orthogonal_init(gain=1.0)",
        "looks_linear_init(init=None)",
        "uniform_init(hidden)",
        "identity_init(scale=1.0)",
        "chrono_bias(key, hidden, longest, *, dtype=float32)",
        "LayerNormParams(gain_h, gain_x=None, gain_c=None, bias_c=None)",
        "bidirectional(run, forward_params, backward_params, x, state=None, *, "
        "merge='concat', **options)",
        f"recur(step, state, xs, *, {SCAN})",
        "Certificate(sweeps, residual, error_bound, exponent, fell_back)",
        "solve_in_parallel(step, state, xs, *, chunks=None, tolerance=None, "
        "max_sweeps=None, time_major=False)",
        "dot_product_attention(query, keys, values, *, lengths=None, scale=None)",
        "additive_attention(query, keys, values, v, *, lengths=None)",
        "sample_logits(logits, *, key=None, temperature=1.0, top_k=None, top_p=None)",
        "generate(step, state, first, *, steps, key=None, sample=sample_logits)",
        "Beams(tokens, scores, lengths)",
        "beam_search(step, state, first, *, beams, steps, end, length_penalty=0.0)",
        "mixture_density_loss(outputs, points)",
        "log_mel(signal, *, sample_rate, bands=40, window=0.025, hop=0.01, "
        "offset=1e-06)",
        "sample_mixture(outputs, *, key=None, temperature=1.0)",
    ],
    "gradflow": [
        "tap(x, name)",
        "scope(name)",
        "TapStats(norm, max_abs, zero_fraction, nonfinite_fraction)",
        "ResponseStats(mean, std, max_abs, zero_fraction, saturated_fraction, "
        "shut_fraction, nonfinite_fraction, dead_fraction)",
        "Flow(value, aux, grads, taps, responses)",
        "measure(loss, params, *args, has_aux=False, only=None)",
        "measure_module(loss, model, *args, argnums=0, wrt=None, has_aux=False, "
        "only=None, **kwargs)",
        "every(steps)",
        "log_spaced(per_decade)",
        "log_adjoint_norms(step, state, xs, cotangent)",
        "AdjointParts(total, direct, recurrent)",
        "adjoint_parts(step, direct, state, xs, cotangent, *, select=None)",
        "update_ratios(updates, params)",
        "GradientNoise(scale, trace, squared_norm)",
        "gradient_noise_scale(gradients, *, batch_size=1)",
        "jacobian_spectrum(fun, x, *, rank, key, iterations=8)",
        "lyapunov_spectrum(step, state, xs, *, count)",
        "sharpness(loss, params, *args, iterations=30)",
        "branch(residual, branch_scale)",
        "effective_path_length(input_gradient)",
        "lesion_profile(loss, blocks, *, batch_size=None)",
        "gradient_correlation(gradients)",
        "gate_timescales(gate)",
        "saturation(activations, kind)",
        "dead_units(activations)",
        "AttentionStats(entropy, logit_size)",
        "attention_stats(weights)",
        "Verdict(kind, severity, where, number, sentence, cause='', remedy='', "
        "reference='', threshold=nan, study='model', low=None, high=None, reason='', "
        "other_cause='', quantity=(), after=None, tried='')",
        "verdicts(records)",
        "Diagnosis(verdicts, records, flows)",
        "diagnose(loss, model_or_make, *batches, seeds=3, optimizer=None, steps=0, "
        "classes=None, name='model')",
        "Monitor(*, every=1, to=(), only=None, name='model', seed=0, start=0)",
        "MonitorReport(step, records, alarms)",
        "flow_records(flow, *, name='model', seed=0, step=0, "
        "stacks='*block', metrics=None)",
    ],
    "gradflow.theory": [
        "length_map(activation, q, *, weight_variance, bias_variance)",
        "fixed_point_length(activation, *, weight_variance, bias_variance)",
        "chi_1(activation, *, weight_variance, bias_variance, q=None)",
        "depth_scale(chi)",
        "correlation_map(activation, c, *, weight_variance, bias_variance, q=None)",
        "correlation_slope(activation, c, *, weight_variance, bias_variance, q=None)",
        "fixed_point_correlation(activation, *, weight_variance, bias_variance)",
        "length_slope(activation, *, weight_variance, bias_variance)",
        "critical_line(activation, bias_variance)",
        "Spread(mean, std)",
        "finite_width_spread(widths, *, window=1)",
        "plain_gradient_profile(activation, layers, *, weight_variance, bias_variance, "
        "q)",
        "residual_gradient_profile(activation, blocks, *, weight_variance, "
        "bias_variance, output_weight_variance=1.0, output_bias_variance=0.0, p=1.0)",
        "resnet_gradient_profile(blocks, *, weight_variance, layers=2, "
        "branch_scale=1.0)",
        "batch_norm_slope(activation=relu)",
        "batch_norm_resnet_profile(blocks, *, layers=2)",
        "residual_gradient_correlation(blocks, *, weight_variance=2.0, variance=1.0)",
        "rnn_slope(gain, input_variance=0.0, activation=tanh)",
        "forget_gate_slope(bias)",
        "GateSlopes(typical, mean, mean_square)",
        "gate_slopes(bias, variance=0.0)",
        "lstm_gradient_profile(i, f, g, o, c, *, weight_variance)",
        "gru_gradient_profile(r, z, n, h, *, weight_variance)",
        "plain_relu_slope(weight_variance)",
        "residual_relu_slope(weight_variance, layers=2)",
        "conv_border_fraction(size, window)",
        "conv_border_rate(size, window)",
    ],
    "interop": [
        "from_flax(trees, cell)",
        "from_haiku(params, kind, *, name=None)",
        "from_keras(weights, kind)",
        "from_pytorch(state_dict, kind, *, prefix='')",
        "haiku_taps()",
        "linen_taps()",
        "to_flax(layers, cell)",
        "to_haiku(layers, *, name=None)",
        "to_keras(layers, *, use_bias=True, reset_after=True)",
        "to_pytorch(layers, *, bias=True, prefix='')",
    ],
    "nn": [
        "Conv(in_features, out_features, kernel_size, *, strides=1, padding='SAME', "
        "padding_mode='zeros', input_dilation=1, kernel_dilation=1, "
        "feature_group_count=1, precision=None, preferred_element_type=None, "
        f"implementation=None, use_bias=True, kernel_init=variance_scaling, {BIASED})",
        "ConvTranspose(in_features, out_features, kernel_size, *, strides=1, "
        "padding='SAME', output_padding=0, kernel_dilation=1, feature_group_count=1, "
        "precision=None, implementation=None, use_bias=True, "
        f"kernel_init=variance_scaling, {BIASED})",
        "DepthwiseConv(in_features, kernel_size, *, multiplier=1, strides=1, "
        "padding='SAME', padding_mode='zeros', kernel_dilation=1, precision=None, "
        "preferred_element_type=None, implementation=None, use_bias=True, "
        f"kernel_init=variance_scaling, {BIASED})",
        "SeparableConv(in_features, out_features, kernel_size, *, multiplier=1, "
        "strides=1, padding='SAME', padding_mode='zeros', kernel_dilation=1, "
        "precision=None, implementation=None, use_bias=True, "
        "depthwise_init=variance_scaling, "
        f"pointwise_init=variance_scaling, {BIASED})",
        "CausalConv(in_features, out_features, kernel_size, *, kernel_dilation=1, "
        "feature_group_count=1, precision=None, implementation=None, use_bias=True, "
        f"kernel_init=variance_scaling, {BIASED})",
        f"MaxPool(window_shape, *, {POOL}, implementation=None)",
        f"SumPool(window_shape, *, {POOL}, implementation=None)",
        f"AvgPool(window_shape, *, {POOL}, implementation=None, "
        "count_include_pad=True, divisor=None)",
        f"LpPool(window_shape, *, {POOL}, implementation=None, p=2.0)",
        f"LogSumExpPool(window_shape, *, {POOL}, implementation=None)",
        f"MaxPoolWithIndices(window_shape, *, {POOL})",
        "MaxUnpool(spatial_shape)",
        "AdaptiveMaxPool(output_shape)",
        "AdaptiveAvgPool(output_shape)",
        "FractionalMaxPool(window_shape, output_shape, *, rngs)",
        "GlobalMaxPool(*, spatial_ndim=None, keepdims=False)",
        "GlobalAvgPool(*, spatial_ndim=None, keepdims=False)",
        "GlobalSumPool(*, spatial_ndim=None, keepdims=False)",
        "Flatten()",
        *(family.constructor for family in EVERY),
        "Recurrent(cell, *, name='recurrent')",
        "ConvLSTM(in_features, hidden, kernel_size, *, recurrent_kernel_size=None, "
        f"{GATED}, forget_bias=1.0, peephole_shape=None, {INIT}, "
        "dtype=None, param_dtype=float32, name='conv_lstm', rngs)",
        "AdditiveAttention(query_features, memory_features, units, *, use_bias=True, "
        f"kernel_init=variance_scaling, {BIASED})",
        "DotProductAttention(query_features, memory_features, units, *, scale=None, "
        f"use_bias=False, kernel_init=variance_scaling, {BIASED})",
        "ConvBranch(in_features, out_features, *, strides=1, batch_norm=True, "
        "kernel_init=variance_scaling, rngs)",
        "Block(in_features, out_features, *, shortcut=True, strides=1, "
        "branch_scale=1.0, learn_scale=False, scalar_biases=False, **options)",
        "PlainBlock(in_features, out_features, *, batch_norm=True, **options)",
        "ResidualBlock(in_features, out_features, *, batch_norm=True, **options)",
        "block_options(method, count)",
        "ReversibleBlock(features, **options)",
        "HyperBlock(features, *, streams=4, constrained=True, **options)",
        "composite_gain(stack, x)",
        "Stack(make_block, count, *, checkpoint=None, rngs)",
        "norm(features, batch_norm, *, rngs)",
        "BatchNorm(num_features, *, use_running_average=False, momentum=0.9, "
        "epsilon=1e-05, dtype=None, param_dtype=float32, use_bias=True, "
        "use_scale=True, bias_init=zeros, scale_init=ones, axis_name=None, rngs)",
    ],
    "models": [
        "ConvNet(image_shape, classes, *, widths=(16, 32), hidden=64, dropout=0.0, "
        "activation=relu, rngs)",
        "MLP(in_features, classes, *, widths, activation=relu, gain=1.0, dropout=0.0, "
        "rngs)",
        "PlainNet(depth, in_features, classes, *, widths=(16, 32, 64), "
        "batch_norm=True, kernel_init=variance_scaling, checkpoint=None, rngs)",
        "ResNet(depth, in_features, classes, *, widths=(16, 32, 64), "
        "batch_norm=True, kernel_init=variance_scaling, checkpoint=None, rngs)",
        "ManyToOne(layer, in_features, hidden, outputs, *, rngs, **options)",
        "CharacterModel(layer, vocabulary, hidden, *, rngs, **options)",
    ],
    "data": [
        "Labelled(x, y)",
        "Splits(train, validation, test)",
        "digits(*, seed=0)",
        "digits_by_pixel(*, seed=0)",
        "mnist(folder=None, *, download=False, seed=0)",
        "cifar10(folder=None, *, download=False, seed=0)",
        "adding_problem(key, count, length)",
        "copy_memory(key, count, lag, *, symbols=8, payload=10)",
        "epoch_batches(key, count, batch_size)",
    ],
    "training": [
        "classification(model, batch, *, label_smoothing=0.0)",
        "regression(model, batch)",
        "TrainState(params, rest, opt_state, step)",
        "StepReport(loss, figures, watched)",
        "train_state(model, optimizer)",
        "make_objective(graphdef, loss)",
        "make_step(graphdef, loss, optimizer, *, watch=None, schedule=None)",
        "make_evaluation(graphdef, loss)",
        "shuffled(data, batch_size)",
        "generated(make, steps, batch_size)",
        "random_key(seed)",
        "Program(graphdef, initial, batches, epoch, evaluate, first_nonfinite, "
        "compile_seconds)",
        "compile_program(make_model, loss, optimizer, batches, *, seeds, "
        "over_seeds='map', watch=None, schedule=None)",
        "History(reports, figures, steps_per_epoch)",
        "NonFiniteLoss(seed_index, step, layer, history, stage='forward')",
        "fit(program, epochs, evaluation, *, data_seed=0, on_epoch=None)",
        "first_nonfinite_layer(objective, *arguments)",
        "Recipe(steps, batch_size, learning_rate, optimizer='adam', "
        "schedule='cosine', warmup=0, weight_decay=0.0, clip_norm=1.0, accumulate=1, "
        "average=0.0, patience=0, evaluate_every=100, checkpoint_every=100, "
        "dtype='float32', label_smoothing=0.0, seed=0)",
        "make_optimizer(recipe)",
        "Trained(model, step, skipped, metrics, params_sha256, stopped)",
        "NonFiniteBatch(step, found, skipped)",
        "train(model, loss, batch, recipe, folder, *, evaluation=None, optimizer=None, "
        "devices=1, shards=1, skip_nonfinite=0, about=None, asked_to_stop=None, "
        "on_call=None, on_evaluation=None, tensorboard=None, say=print)",
        "params_sha256(params)",
        "load_trained(make, recipe, folder, *, optimizer=None, say=print)",
        "rows_of_step(seed, step, count, batch_size)",
    ],
    "tasks": [
        "Task(name, recipe, prepare, sampler=None)",
        "Prepared(make, loss, batch, evaluation, about, floors, outcome=None, "
        "measured=None)",
        "Outcome(metrics, exhibits)",
        "SampleOptions(count=1, length=500, temperature=0.8, top_k=None, top_p=None, "
        "prompt=None, seed=0, out=None)",
        "Sampler(make, draw)",
        "sample_run(folder, options=None, *, say=print)",
        f"TrainConfig(task, recipe, data=None, devices=1, shards=1, "
        f"version={__version__!r})",
        "task_of(name)",
        "run_task(config, folder, *, asked_to_stop=None, on_call=None, "
        "skip_nonfinite=0, tensorboard=False, say=print)",
    ],
    "studies": [
        "Arm(study, name, family, size, settings)",
        "Outcome(records, parameters, compile_seconds, message='')",
        "ContrastConfig(studies, scale, seeds, dataset)",
        "RunFolder(path)",
        "RunResult(path, interrupted, verdicts)",
        "contrast(config, path, *, resume=False, command='', console=None)",
        "default_dataset(scale)",
        "environment()",
        "self_checks()",
    ],
    "report": ["write_report(run, folder=None)", "export_charts(run, format='png')"],
}
