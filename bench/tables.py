"""reports/bench.md: what bench/compare.py has measured, as tables to read."""

import statistics

# Which of the exported files each side runs.
ANSWERING = {
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "litert_int8": "model-int8.tflite",
    "keras_predict": "model.keras",
}


def markdown(results: dict) -> str:
    """reports/bench.md."""
    train, read, exp, grow, answering = (
        results[key] for key in ("training", "reading", "experiment", "growth", "answering")
    )
    rows = [
        ("training, one model / plain Keras", train["one model / plain Keras"], "3.0"),
        ("training, one model / Keras with jit_compile", train["one model / Keras jit_compile"], ""),
        ("training, one model / PyTorch channels_last", train["one model / PyTorch channels_last"], "1.5"),
        ("training, 3 side by side / plain Keras in a row", train["3 side by side / plain Keras in a row"], "4.0"),
        *(
            (f"reading {name} JPEG / image_dataset_from_directory", each["ours / image_dataset_from_directory"], goal)
            for (name, each), goal in zip(read.items(), ("0.85", "0.85", "2"), strict=True)
        ),
        ("whole `dvc exp run`: article's script / ours", exp["article / ours"], "1.8"),
        *(
            (f"libjpeg-turbo, decoding {name} alone / image_dataset_from_directory", each[alone], "")
            for name, each in read.items()
            if (alone := "decoding / image_dataset_from_directory") in each
        ),
    ]
    lines = [
        "# Speed",
        "",
        f"Commands: `{results['command']}`, on {results['machine']}. {results['versions']}.",
        "Ratios above 1 mean that this project is faster; median and range of pairs measured in turn.",
        "",
        "| figure | median | range | n | goal |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {each['median']:.2f} | {each['least']:.2f} to {each['most']:.2f} | {each['n']} | {goal} |"
            for name, each, goal in rows
        ),
        *(
            f"| share of a worker's time in libjpeg-turbo and Pillow's resize, {name} JPEG "
            f"| {statistics.median(share):.0%} | {min(share):.0%} to {max(share):.0%} | {len(share)} | 85 % |"
            for name, each in read.items()
            if (share := each["share in libraries"])
        ),
        f"| share of the sgemm peak ({train['sgemm peak']:.0f} GFLOP/s), 3 side by side "
        f"| {train['share of peak, 3 side by side']:.0%} | | | 20 % |",
        f"| {max(grow['seconds'])} pictures / {min(grow['seconds'])}, time, DVC included "
        f"| {grow['times']:.1f} | | 1 | at most 11 |",
        f"| most memory of a process, {max(grow['seconds'])} pictures "
        f"| {max(grow['MiB'].values()):.0f} MiB | | 1 | 1536 MiB |",
        "",
        "Pictures a second in training (median), and the loss after the last epoch that each side counts:",
        "",
        "| side | pictures a second | mean loss by epoch |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {statistics.median(each):.0f} | {', '.join(f'{x:.3f}' for x in train['losses'][name])} |"
            for name, each in train["speeds"].items()
        ),
        "",
        "The exported network, a picture at a time on all cores, median and range:",
        "",
        "| side | file | bytes | milliseconds a picture | same class as Keras |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {ANSWERING[name]} | {answering['bytes'][ANSWERING[name]]:,} "
            f"| {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f}) "
            f"| {answering['same class as Keras'][name]:.1%} |"
            for name, each in answering["milliseconds"].items()
        ),
        "",
        f"Whole experiment on {exp['pictures']}: ours {statistics.median(exp['seconds']['ours']):.1f} s, "
        f"the article's script {statistics.median(exp['seconds']['article']):.1f} s. Accuracy: "
        + ", ".join(f"{name} {value:.3f}" for name, value in exp["accuracy"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"
