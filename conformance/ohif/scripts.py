"""What is asked of the page: JavaScript, run in it. OHIF and Cornerstone show themselves there."""

REMOVE_TOUR = """
document.querySelectorAll('.shepherd-element, .shepherd-modal-overlay-container')
    .forEach(element => element.remove())
"""

DRAWN_BOXES = """
selector => [...document.querySelectorAll(selector)].map(element => {
    const box = element.getBoundingClientRect()
    return [element.textContent, box.left, box.top, box.right, box.bottom]
})
"""

SHOWN_IMAGE = """
() => window.cornerstone.getEnabledElements().map(each => each.viewport.getCurrentImageId())[0]
"""

IS_OPEN = """
label => [...window.services.viewportGridService.getState().viewports.values()]
    .flatMap(viewport => viewport.displaySetInstanceUIDs)
    .map(uid => window.services.displaySetService.getDisplaySetByUID(uid))
    .some(shown => `${shown.Modality} ${shown.SeriesDescription}`.includes(label))
"""

RENDER = """
() => window.cornerstone.getEnabledElements().forEach(each => each.viewport.render())
"""

SCROLL = """
wanted => {
    const shown = window.cornerstone.getEnabledElements()[0].viewport
    return shown.setImageIdIndex(shown.getImageIds().findIndex(id => id.endsWith(wanted)))
}
"""

CANVAS = """
() => window.cornerstone.getEnabledElements()
    .map(each => each.viewport.canvas.toDataURL('image/png').split(',')[1])
"""

PLACE = """
([x, y]) => {
    const shown = window.cornerstone.getEnabledElements()[0].viewport
    const box = shown.element.getBoundingClientRect()
    return Array.from(shown.canvasToWorld([x - box.left, y - box.top]))
}
"""

TO_CANVAS = """
points => {
    const shown = window.cornerstone.getEnabledElements()[0].viewport
    return points.map(point => Array.from(shown.worldToCanvas(point)))
}
"""

IMAGE_TO_CANVAS = """
points => {
    const shown = window.cornerstone.getEnabledElements()[0].viewport
    const image = shown.getImageData().imageData
    return points.map(
        ([column, row]) => Array.from(shown.worldToCanvas(image.indexToWorld([column, row, 0])))
    )
}
"""

POLYLINES = """
() => [...document.querySelectorAll('svg.svg-layer polyline')].map(
    line => line.getAttribute('points').match(/[-.\\d]+/g).map(Number)
)
"""
