// Along the ridge: each layer's most alike one, with its interval, beside what shuffled pictures give.
import { scale } from "../charts";
import { brief } from "../brief";
import { useWidth } from "../parts/width";
import { hundredth, percent } from "../words";
import { type Measure, type Pair, placeOf, ridgeOf, type Shape, valueAt, type Value } from "./pair";

const HEIGHT = 120;
const [LEFT, TOP, FOOT] = [34, 10, 22];
const WORD = 36; // a name of a layer, and a gap

interface RidgeProps {
  pair: Pair;
  measure: Measure;
  shape: Shape;
  along: "across" | "down";
}

interface Point extends Value {
  name: string;
  brief: string;
  other: string;
}

function pointsOf({ pair, measure, shape, along }: RidgeProps): Point[] {
  const ridge = ridgeOf(pair.shard, measure, shape, along);
  const { rows, columns } = pair.shard;
  return ridge.map((other, n) => {
    const [x, y] = along === "across" ? [n, Math.max(other, 0)] : [Math.max(other, 0), n];
    const [row, column] = placeOf(shape, x, y);
    const own = (along === "across") === shape.turned;
    const [name, match] = own ? [rows[row]!, columns[column]!] : [columns[column]!, rows[row]!];
    return { ...valueAt(pair.shard, measure, row, column), name, brief: brief(own ? pair.one : pair.other, name), other: match };
  });
}

export function Ridge(props: RidgeProps) {
  const [host, width] = useWidth<HTMLDivElement>();
  const points = pointsOf(props);
  const low = Math.min(0, ...points.map((point) => Math.min(point.low ?? 0, point.control ?? 0)));
  const y = scale([Math.min(low, 0), 1], [HEIGHT - FOOT, TOP]);
  const step = (width - LEFT) / Math.max(points.length, 1);
  const deeper = (props.along === "across") === props.shape.turned ? props.pair.one : props.pair.other;
  return (
    <section>
      <h2>Along the ridge</h2>
      <div ref={host}>
        {width > 0 ? (
          <svg class="chart" width={width} height={HEIGHT} role="img" aria-label={`Each layer of ${deeper.title} with its most alike layer: ${points.map(worded).join("; ")}`}>
            {[0, 0.5, 1].map((value) => (
              <g key={value}>
                <line class="rule" x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
                <text x={LEFT - 8} y={y(value) + 4} text-anchor="end">{value}</text>
              </g>
            ))}
            {points.map((point, n) => (
              <Mark key={point.name} point={point} x={LEFT + (n + 0.5) * step} y={y} label={step >= WORD || n % Math.ceil(WORD / step) === 0} />
            ))}
          </svg>
        ) : null}
      </div>
      <p class="small soft">{caption(props, points)}</p>
    </section>
  );
}

function worded(point: Point): string {
  return `${point.name} and ${point.other} ${point.value === null ? "no value" : hundredth(point.value)}`;
}

function Mark({ point, x, y, label }: { point: Point; x: number; y: (value: number) => number; label: boolean }) {
  return (
    <g>
      <title>{worded(point)}</title>
      {point.control === null ? null : <line class="control" x1={x - 8} x2={x + 8} y1={y(point.control)} y2={y(point.control)} />}
      {point.low === null || point.high === null ? null : <line class="bar" x1={x} x2={x} y1={y(point.low)} y2={y(point.high)} />}
      {point.value === null ? null : <circle cx={x} cy={y(point.value)} r={3.5} />}
      {label ? <text x={x} y={HEIGHT - 5} text-anchor="middle">{point.brief}</text> : null}
    </g>
  );
}

function caption({ pair, measure }: RidgeProps, points: Point[]): string {
  const grey = measure === "neighbours" ? "Grey: what chance gives." : "Grey: the same with pictures shuffled.";
  if (measure !== "cka") return grey;
  const share = Math.max(...points.map((point) => point.share ?? 0));
  const bars = `Bars: jackknife interval over ${pair.shard.pictures} pictures. ${grey}`;
  return `${bars} No single picture makes more than ${percent(share, 1).replace(" ", "\u00a0")} of a sum${share > 0.05 ? ", which is much: look at it before you trust the numbers" : ""}.`;
}
