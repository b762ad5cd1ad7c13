// The tiles of a plane, drawn by OpenSeadragon; all else speaks to it in cells and in pixels of its box.
import OpenSeadragon from "openseadragon";
import type { Plane, Space } from "./model";
import type { Corner } from "./regions";
import { tileUrl, topLevel } from "./tiles";

/** Centre and width of what is seen, in cells. */
export type Camera = [number, number, number];

/** How cells lie in the box: pixel = origin + cell * unit. */
export interface Frame {
  left: number;
  top: number;
  unit: number;
  width: number;
  height: number;
}

const QUIET = matchMedia("(prefers-reduced-motion: reduce)");

export class Viewer {
  private readonly viewer: OpenSeadragon.Viewer;
  private columns = 1;
  private rows = 1;
  private wanted: Camera | null = null;
  private seen = true;
  /** Whether somebody has moved the view since it last came to rest. */
  moved = false;

  /** `draw`: called for each frame; `rest`: when a view that was moved has come to rest. */
  constructor(host: HTMLElement, draw: () => void, rest: () => void) {
    keepStyles();
    this.viewer = OpenSeadragon({ element: host, ...OPTIONS, animationTime: QUIET.matches ? 0 : 0.12 } as unknown as OpenSeadragon.Options);
    this.viewer.addHandler("update-viewport", draw);
    this.viewer.addHandler("resize", draw);
    this.viewer.addHandler("animation-finish", () => {
      if (this.moved) rest();
      this.moved = false;
    });
    this.viewer.addHandler("open", () => {
      this.tiles = this.seen;
      if (this.wanted !== null) this.look(this.wanted, true);
      draw();
    });
  }

  get open(): boolean {
    return this.viewer.isOpen();
  }

  /** Shows a plane; `camera`: what to see of it. */
  show(space: Space, plane: Plane, camera: Camera): void {
    [this.columns, this.rows, this.wanted] = [plane.columns, plane.rows, camera];
    const { width, height, tile } = plane.data;
    const getTileUrl = (level: number, x: number, y: number) => tileUrl(space, plane, level, x, y);
    const source = { width, height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: topLevel(plane), getTileUrl };
    this.viewer.open({ tileSource: source as unknown as OpenSeadragon.TileSource });
  }

  /** Whether tiles are seen; without them no more are loaded. */
  set tiles(seen: boolean) {
    this.seen = seen;
    this.viewer.world.getItemAt(0)?.setOpacity(seen ? 1 : 0);
  }

  /** Whether a drag moves the plane. */
  set drags(moves: boolean) {
    for (const kind of ["mouse", "touch", "pen"]) this.viewer.gestureSettingsByDeviceType(kind).dragToPan = moves;
  }

  get frame(): Frame {
    const { x: width, y: height } = this.viewer.viewport.getContainerSize();
    const bounds = this.viewer.viewport.getBounds(true);
    const unit = width / (bounds.width * this.columns);
    return { left: -bounds.x * this.columns * unit, top: -bounds.y * this.columns * unit, unit, width, height };
  }

  get camera(): Camera {
    if (!this.open && this.wanted !== null) return this.wanted;
    const bounds = this.viewer.viewport.getBounds(false);
    const centre = bounds.getCenter();
    return [centre.x * this.columns, centre.y * this.columns, bounds.width * this.columns];
  }

  look([x, y, width]: Camera, at_once = false): void {
    this.wanted = [x, y, width];
    if (!this.open) return;
    const { x: across, y: down } = this.viewer.viewport.getContainerSize();
    const height = (width * down) / across;
    const c = this.columns;
    const box = new OpenSeadragon.Rect((x - width / 2) / c, (y - height / 2) / c, width / c, height / c);
    this.viewer.viewport.fitBounds(box, at_once || QUIET.matches);
  }

  zoom(factor: number): void {
    this.moved = true;
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  /** The whole plane. */
  all(): void {
    this.moved = true;
    const { x: across, y: down } = this.viewer.viewport.getContainerSize();
    this.look([this.columns / 2, this.rows / 2, Math.max(this.columns, (this.rows * across) / down) * 1.04]);
  }

  /** Moves the view, no more than needed, so that a place of the plane is in it. */
  reveal(x: number, y: number): void {
    const [left, top, width] = this.camera;
    const { x: across, y: down } = this.viewer.viewport.getContainerSize();
    const [half, tall] = [width / 2 - 1, (width * down) / across / 2 - 1];
    const clamp = (at: number, centre: number, reach: number) => (at < centre - reach ? at + reach : at > centre + reach ? at - reach : centre);
    const next: Camera = [clamp(x, left, half), clamp(y, top, tall), width];
    if (next[0] === left && next[1] === top) return;
    this.moved = true;
    this.look(next);
  }

  /** The next frame is drawn even if nothing moved. */
  redraw(): void {
    this.viewer.forceRedraw();
  }

  destroy(): void {
    this.viewer.destroy();
  }
}

/** OpenSeadragon adds a style sheet of its own, which the page's policy refuses, unless one is there already. */
function keepStyles(): void {
  if (document.querySelector("style[data-openseadragon-mobile-css]")) return;
  const other = document.createElementNS("layerscope", "style"); // of no language: it matches, and styles nothing
  other.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(other);
}

const OPTIONS = {
  drawer: "canvas", // WebGL reads its tiles back, which file:// forbids
  showNavigationControl: false,
  showNavigator: false,
  keyboardNavEnabled: false,
  tabIndex: "",
  imageLoaderLimit: 6,
  maxImageCacheCount: 120,
  minZoomImageRatio: 0.8,
  maxZoomPixelRatio: 8,
  visibilityRatio: 0.2,
  springStiffness: 10,
  immediateRender: false,
  blendTime: 0,
  preload: false,
  autoResize: true,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false, flickEnabled: false, scrollToZoom: true },
  gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: false, flickEnabled: true, pinchToZoom: true },
  gestureSettingsPen: { clickToZoom: false, dblClickToZoom: false },
};

/** The place of a plane at a pixel of the box. */
export function placeAt(frame: Frame, x: number, y: number): Corner {
  return [(x - frame.left) / frame.unit, (y - frame.top) / frame.unit];
}

/** The part of the plane that is seen: left, top, right, bottom in cells. */
export function seen(frame: Frame): [number, number, number, number] {
  const [left, top] = placeAt(frame, 0, 0);
  const [right, bottom] = placeAt(frame, frame.width, frame.height);
  return [left, top, right, bottom];
}
