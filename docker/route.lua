-- Every MR series that has been quiet for StableAge seconds goes to the node, over one association.
-- SR and SEG are other modalities, so that the node's results are not sent back to it.
function OnStableSeries(seriesId, tags, metadata)
   if tags['Modality'] == 'MR' then
      RestApiPost('/modalities/mome/store',
                  DumpJson({ Resources = { seriesId }, Asynchronous = true }, true))
   end
end
