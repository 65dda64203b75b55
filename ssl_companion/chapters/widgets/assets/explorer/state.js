// What is shown now, and which epochs and layers there are to show.
// `level` gives the colours; the class chosen is number `group` of the level `at`, or none, -1.
const state = { level: levels.findIndex(l => l.name === data.start.level), at: 0,
  group: data.start.group, epoch: data.start.epoch, layer: data.start.layer, image: -1 };
let wanted = state.epoch, xy = new Float32Array(2 * N), timer = null, frame = 0, colour = {};
let pointed = -1;  // the image under the pointer, or of the thumbnail in focus
const place = () => placeOf(state.epoch, state.layer);
const level = () => levels[state.level], own = () => levels[state.at];
const logarithmic = epoch => Math.log1p(epoch);
const nearestEpoch = (epoch, epochs) => epochs.reduce((best, e) =>
  Math.abs(logarithmic(e) - logarithmic(epoch)) < Math.abs(logarithmic(best) - logarithmic(epoch))
    ? e : best);
