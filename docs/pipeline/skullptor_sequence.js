/* Flamenco job type: a sequence in chunks, then its caches. Put it into the Manager's `scripts` folder. */
const JOB_TYPE = {
    label: "Skullptor Sequence",
    description: "Heads of one performance, solved in chunks of frames",
    settings: [
        { key: "frames", type: "string", required: true, description: "Frames, such as 1-1000",
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'" },
        { key: "chunk_size", type: "int32", default: 20, description: "Frames of one task" },
        { key: "python", type: "string", required: true, description: "The engine's Python, on every worker" },
        { key: "program", type: "string", required: true, subtype: "dir_path", description: "Folder that holds bridge/" },
        { key: "source", type: "string", required: true, subtype: "dir_path", description: "Folder of captures, or the rig" },
        { key: "images", type: "string", default: "", subtype: "dir_path", description: "The cameras' pictures, for a rig" },
        { key: "output", type: "string", required: true, subtype: "dir_path", description: "Folder to write to" },
        { key: "key_frames", type: "string", default: "1", description: "auto, how many key frames, or their numbers" },
        { key: "template", type: "string", default: "hm08", description: "hm08, hm08-body, ict or a file" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    // The first task makes the key frame's identity; the others wait for it.
    const first = task(settings, "key frame", settings.frames.split(/[-,]/)[0].trim());
    job.addTask(first);
    const solved = [];
    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        const one = task(settings, `frames ${chunk}`, chunk);
        one.addDependency(first);
        job.addTask(one);
        solved.push(one);
    }
    // All frames are there by then: this one only writes the caches.
    const gather = task(settings, "caches", settings.frames);
    for (const one of solved) gather.addDependency(one);
    job.addTask(gather);
}

function task(settings, name, frames) {
    const made = author.Task(name, "misc");
    // the folder by its path: a worker, on Windows too, has no working folder of ours to start Python in
    const args = [settings.program.replace(/[\\/]+$/, "") + "/bridge", "sequence", settings.source, "-o", settings.output,
                  "--frames", frames, "--wrap", settings.template, "--key-frames", settings.key_frames, "--resume"];
    if (settings.images) args.push("--images", settings.images);
    made.addCommand(author.Command("exec", { exe: settings.python, args: args }));
    return made;
}
