// What is shown now, and which epochs and layers there are to show.
const state = { level: levels.findIndex(l => l.name === data.start.level), ...{
  epoch: data.start.epoch, layer: data.start.layer, group: -1, image: -1 } };
let wanted = state.epoch, xy = new Float32Array(2 * N), timer = null, frame = 0, colour = {};
const place = () => placeOf(state.epoch, state.layer);
const level = () => levels[state.level];
const logarithmic = epoch => Math.log1p(epoch);
const nearestEpoch = (epoch, epochs) => epochs.reduce((best, e) =>
  Math.abs(logarithmic(e) - logarithmic(epoch)) < Math.abs(logarithmic(best) - logarithmic(epoch))
    ? e : best);
