// The data as arrays: what lies nearest to what, where each image is, how many are right.
const unpack = ({ shape, bits, data: text }) => {
  const bytes = Uint8Array.from(atob(text.slice(7)), c => c.charCodeAt(0));
  return { shape, at: bits === 8 ? bytes : new Uint16Array(bytes.buffer) };
};
const row = (packed, ...index) => {  // the last axis at these indices of the axes before it
  const width = packed.shape[packed.shape.length - 1];
  const place = index.reduce((sum, i, axis) => sum * packed.shape[axis] + i, 0);
  return packed.at.subarray(place * width, (place + 1) * width);
};
const fine = unpack(data.fine).at, map = unpack(data.map);
const near = unpack(data.near), far = unpack(data.far), N = fine.length;
const levels = data.levels.map((level, index) => {
  const of = Uint16Array.from(fine, k => level.ofFine[k]);
  const size = new Array(level.names.length).fill(0);
  of.forEach(k => { size[k] += 1; });
  const above = data.levels[index + 1], parents = [];
  if (above) level.ofFine.forEach((k, f) => { parents[k] = above.names[above.ofFine[f]]; });
  return { ...level, of, size, parents, near: unpack(level.near), far: unpack(level.far),
    right: unpack(level.right) };
});
const kept = layer => data.places.filter(place => place[1] === layer).map(place => place[0]);
const layers = data.layers.filter(layer => kept(layer).length);
const moves = { epoch: new Set(data.places.map(place => place[0])).size > 1, layer: layers.length > 1 };
const placeOf = (epoch, layer) => data.places.findIndex(p => p[0] === epoch && p[1] === layer);
const accuracy = (level, epoch, layer) => level.ncc.find(r => r[0] === epoch && r[1] === layer);
