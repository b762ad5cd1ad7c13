// A plane: tiles, what is drawn over them, numbers of suggested regions, navigator and loupe.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { count } from "../words";
import { Controller } from "./controller";
import { Loupe } from "./loupe";
import type { Space } from "./model";
import { Navigator, placeFrame } from "./navigator";
import type { Outline } from "./regions";
import type { Scene, Shown } from "./scene";
import type { Tool } from "./tools";
import type { Camera, Frame } from "./viewer";

export interface PlaneProps {
  shown: Shown;
  /** What the address has; null: the plane chooses. */
  camera: Camera | null;
  /** Where to look if nothing else says so. */
  start: Camera;
  tool: Tool;
  pinned: number;
  lit: readonly number[];
  /** The region whose number is pressed; null: none. */
  region: number | null;
  onRest: (camera: Camera) => void;
  onPoint: (patch: number) => void;
  onPick: (patch: number) => void;
  onDraw: (outline: Outline) => void;
  onRegion: (number: number) => void;
  /** Given the controller, for keys and buttons; null when it is gone. */
  give: (controller: Controller | null) => void;
}

export function PlaneView(props: PlaneProps) {
  const latest = useRef(props);
  latest.current = props;
  const [host, canvas, marks] = [useRef<HTMLDivElement>(null), useRef<HTMLCanvasElement>(null), useRef<HTMLDivElement>(null)];
  const seenFrame = useRef<HTMLElement>(null);
  const [view, setView] = useState<{ frame: Frame; scene: Scene } | null>(null);
  const [patch, setPatch] = useState(-1);
  const drawn = useRef<{ scene: Scene | null; patch: number }>({ scene: null, patch: -1 });
  const framed = (frame: Frame, scene: Scene) => {
    placeMarks(marks.current, frame, scene);
    placeFrame(seenFrame.current, frame, scene.plane);
    if (drawn.current.scene !== scene || drawn.current.patch >= 0) setView({ frame, scene });
    drawn.current.scene = scene;
  };
  const controller = useController(host, canvas, latest, framed, (at) => setPatch((drawn.current.patch = at)));
  useShown(controller, props);
  const { space } = props.shown;
  return (
    <div class="plane" data-tool={props.tool}>
      <div class="tiles" ref={host} tabIndex={0} role="application" aria-label={label(space)} aria-describedby="plane-keys" />
      <canvas class="paint" ref={canvas} aria-hidden="true" />
      <div class="marks" ref={marks}>
        {props.shown.suggested ? space.shard.regions.map(({ number }) => (
          <button type="button" key={number} aria-label={`Region ${number}`} aria-pressed={number === props.region} onClick={() => props.onRegion(number)}>
            {number}
          </button>
        )) : null}
      </div>
      {view ? <Navigator frame={seenFrame} scene={view.scene} first={view.frame} onLook={(x, y) => controller.current?.centre(x, y)} /> : null}
      {view && patch >= 0 ? <Loupe frame={view.frame} scene={view.scene} patch={patch} /> : null}
    </div>
  );
}

function label(space: Space): string {
  return `Plane of ${count(space.count)} patches of ${space.layer.name} of ${space.network.title}`;
}

/** The controller, from the first drawing of the component to its last. */
function useController(
  host: RefObject<HTMLDivElement | null>,
  canvas: RefObject<HTMLCanvasElement | null>,
  latest: { readonly current: PlaneProps },
  framed: (frame: Frame, scene: Scene) => void,
  pointed: (patch: number) => void,
): { readonly current: Controller | null } {
  const controller = useRef<Controller | null>(null);
  useEffect(() => {
    const made = new Controller(host.current!, canvas.current!, {
      rested: (camera) => latest.current.onRest(camera),
      pointed: (patch) => {
        pointed(patch);
        latest.current.onPoint(patch);
      },
      picked: (patch) => latest.current.onPick(patch),
      drawn: (outline) => latest.current.onDraw(outline),
      framed,
    });
    controller.current = made;
    latest.current.give(made);
    return () => {
      latest.current.give(null);
      controller.current = null;
      made.destroy();
    };
  }, []);
  return controller;
}

/** Hands on to the controller what has changed. */
function useShown(controller: { readonly current: Controller | null }, props: PlaneProps): void {
  const { shown, camera } = props;
  const written = useRef("");
  useEffect(() => controller.current?.show(shown, camera ?? props.start), Object.values(shown));
  useEffect(() => {
    if (controller.current) controller.current.tool = props.tool;
  }, [props.tool]);
  useEffect(() => {
    const made = controller.current;
    if (!made) return;
    made.hand.pinned = props.pinned;
    made.hand.lit = props.lit;
    made.queue();
  }, [props.pinned, props.lit]);
  useEffect(() => {
    const made = controller.current;
    const wanted = camera?.join() ?? "";
    if (made?.viewer.open && camera !== null && wanted !== written.current && wanted !== rounded(made.viewer.camera)) made.viewer.look(camera);
    written.current = wanted;
  }, [camera?.join()]);
}

/** A camera as an address has it. */
export function rounded(camera: Camera): string {
  return camera.map((value) => Math.round(value * 10) / 10).join();
}

/** Numbers stand on their regions, moved for each frame without drawing the page anew. */
function placeMarks(marks: HTMLElement | null, frame: Frame, scene: Scene): void {
  if (marks === null) return;
  scene.marks.forEach(({ at }, n) => {
    const button = marks.children[n] as HTMLElement | undefined;
    if (button === undefined) return;
    const [x, y] = [frame.left + at[0] * frame.unit, frame.top + at[1] * frame.unit];
    const within = x > -20 && y > -20 && x < frame.width + 20 && y < frame.height + 20;
    button.style.visibility = within ? "visible" : "hidden";
    button.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) translate(-50%, -50%)`;
  });
}
